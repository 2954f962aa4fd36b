"""What is put into a container besides its image: its first process, its SSH server's settings and keys, its watch."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from importlib.resources import files as package_files
from pathlib import PurePosixPath

from dsenv.models.machine import Limits
from dsenv.providers import watch
from dsenv.providers.docker.names import HOME, LOGIN
from dsenv.providers.watch import MachineFile

INIT = "/usr/local/lib/dsenv/init"
COMMAND = ("python3", "-I", "-S", INIT, LOGIN, HOME)
CONFIG = "/run/dsenv/sshd_config"  # as the first process completed it
SERVER_ON_A_STREAM = ("/usr/sbin/sshd", "-i", "-f", CONFIG)
_POWER_OFF = ("/bin/sh", "-c", "kill -s TERM 1")
_KEYS = "/etc/dsenv/ssh"

_SSHD = f"""Port 22
HostKey {_KEYS}/host_key
AuthorizedKeysFile {_KEYS}/authorized_keys
PidFile none
AllowUsers {LOGIN}
PermitRootLogin no
PubkeyAuthentication yes
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
X11Forwarding no
PermitUserRC no
PrintMotd no
PrintLastLog no
UseDNS no
MaxSessions 100
MaxStartups 100
ClientAliveInterval 30
ClientAliveCountMax 4
AcceptEnv LANG LC_*
Subsystem sftp internal-sftp
"""


def first_files(limits: Limits, host_key: bytes, client_key: str) -> list[MachineFile]:
    """Everything, for a container that was never started. `host_key` is private, `client_key` public."""
    init = (package_files("dsenv") / "providers" / "docker" / "init.py").read_bytes()
    return [
        MachineFile(INIT, init, 0o755),
        MachineFile("/etc/dsenv/sshd_config", _SSHD.encode()),
        MachineFile(f"{_KEYS}/host_key", host_key, 0o600),
        authorized(client_key),
        *watch_files(limits),
    ]


def authorized(client_key: str) -> MachineFile:
    """The one key that may log in."""
    return MachineFile(f"{_KEYS}/authorized_keys", f"{client_key}\n".encode())


def watch_files(limits: Limits) -> list[MachineFile]:
    """The idle watch with these limits. Units of systemd, which containers have not, are left out."""
    found = watch.files(limits, power_off=_POWER_OFF)
    return [file for file in found if not file.path.startswith("/etc/systemd/")]


def archive(files: Sequence[MachineFile]) -> bytes:
    """The files as a tar archive to be unpacked at /, all of them root's, their folders too."""
    buffer = io.BytesIO()
    made: set[str] = set()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for file in files:
            for parent in reversed(PurePosixPath(file.path).parents[:-1]):
                # Folders that every system has keep the mode that they have there.
                if len(parent.parts) > 2 and str(parent) not in made | _SYSTEMS:
                    made.add(str(parent))
                    folder = tarfile.TarInfo(str(parent).lstrip("/"))
                    folder.type, folder.mode = tarfile.DIRTYPE, 0o755
                    tar.addfile(folder)
            entry = tarfile.TarInfo(file.path.lstrip("/"))
            entry.size, entry.mode = len(file.data), file.mode
            tar.addfile(entry, io.BytesIO(file.data))
    return buffer.getvalue()


_SYSTEMS = frozenset({"/usr/local", "/usr/local/lib", "/opt/dsenv"})
