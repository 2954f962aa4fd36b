"""The system's own sshd, run by the user on a high loopback port with a configuration of ours."""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path

from dsenv.agent.process import Process
from dsenv.errors import ProviderError
from dsenv.providers.local import server
from dsenv.providers.local.layout import Layout, current_user
from dsenv.state import store

_PLACES = ("/usr/sbin", "/usr/local/sbin", "/sbin", "/opt/homebrew/sbin")
_SFTP = (
    "/usr/lib/openssh/sftp-server",
    "/usr/libexec/openssh/sftp-server",
    "/usr/lib/ssh/sftp-server",
    "/usr/libexec/sftp-server",
    "/usr/lib/sftp-server",
)
_PRIVILEGE_SEPARATION = Path("/run/sshd")

# Every session starts here: with the workstation's HOME and not the user's own, and in it. (SetEnv gives the same
# HOME to the login shell that runs this script, which would otherwise read the user's start-up files each time.)
_ENTER = """#!/bin/sh
HOME={home}
PATH={path}
export HOME PATH
unset XDG_CONFIG_HOME XDG_CACHE_HOME XDG_DATA_HOME XDG_STATE_HOME
cd "$HOME" || exit 255
case "${{SSH_ORIGINAL_COMMAND-}}" in
  "") exec "${{SHELL:-/bin/sh}}" -l ;;
  internal-sftp|*/sftp-server) exec {sftp} ;;
  *) exec /bin/sh -c "$SSH_ORIGINAL_COMMAND" ;;
esac
"""

_CONFIG = """ListenAddress 127.0.0.1:{port}
HostKey {folder}/host_key
PidFile none
AuthorizedKeysFile {folder}/authorized_keys
AllowUsers {user}
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
PubkeyAuthentication yes
PasswordAuthentication no
KbdInteractiveAuthentication no
SetEnv HOME={folder}/home
ForceCommand /bin/sh {folder}/enter
Subsystem sftp {sftp}
AllowAgentForwarding no
X11Forwarding no
PermitUserRC no
PrintMotd no
PrintLastLog no
MaxSessions 100
MaxStartups 100
ClientAliveInterval 15
ClientAliveCountMax 8
AcceptEnv LANG LC_*
LogLevel INFO
"""


def find() -> str | None:
    """The sshd binary, as an absolute path (it insists on one), or None."""
    path = os.pathsep.join([os.environ.get("PATH", ""), *_PLACES])
    found = shutil.which("sshd", path=path)
    return str(Path(found).resolve()) if found else None


def start(layout: Layout, port: int) -> Process:
    """Run sshd on `port`. Raises ProviderError when there is none, or when it does not come up."""
    binary = find()
    if binary is None:
        raise ProviderError("there is no sshd on this machine", hint='set `server = "builtin"` in dsenv.toml')
    _make_privilege_separation_folder()
    sftp = next((place for place in _SFTP if Path(place).is_file()), "internal-sftp")
    folder = str(layout.folder)
    if any(character in folder for character in ' "\\\n'):
        raise ProviderError(f"sshd cannot work in a folder with spaces or quotes in its name: {folder}")
    environ = layout.environ()
    enter = _ENTER.format(home=shlex.quote(environ["HOME"]), path=shlex.quote(environ["PATH"]), sftp=sftp)
    store.write_bytes(layout.folder / "enter", enter.encode())
    config = _CONFIG.format(port=port, folder=folder, user=current_user(), sftp=sftp)
    store.write_bytes(layout.folder / "sshd_config", config.encode())
    process = server.detach([binary, "-D", "-e", "-f", f"{folder}/sshd_config"], layout.log, environ)
    server.wait_for_banner(process, port, layout.log)
    return process


def _make_privilege_separation_folder() -> None:
    """root's sshd wants /run/sshd, which the system makes only when its own service starts."""
    if os.getuid() == 0 and not _PRIVILEGE_SEPARATION.is_dir():
        try:
            _PRIVILEGE_SEPARATION.mkdir(parents=True, mode=0o755)
        except OSError as error:
            raise ProviderError(
                f"sshd needs {_PRIVILEGE_SEPARATION}, which cannot be made: {error.strerror}"
            ) from error
