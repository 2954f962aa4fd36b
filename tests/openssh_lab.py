"""SSH servers on loopback for tests of the system's ssh, with an account's home that is not the real one."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import time
from pathlib import Path

from dsenv.agent.process import Process
from dsenv.providers import keys
from dsenv.providers.local import sshd
from dsenv.providers.local.layout import current_user

SSHD = sshd.find()
USABLE = SSHD is not None and shutil.which("ssh") is not None

_ENTER = """#!/bin/sh
HOME={home}; export HOME; cd "$HOME" || exit 255
{environ}
[ -n "$SSH_ORIGINAL_COMMAND" ] || exec sh -l
exec /bin/sh -c "$SSH_ORIGINAL_COMMAND"
"""
_CONFIG = """ListenAddress 127.0.0.1:{port}
HostKey {folder}/host_key
PidFile none
AuthorizedKeysFile {folder}/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
ForceCommand /bin/sh {folder}/enter
{more}
"""


def _passed() -> str:
    """What a machine would have in its own settings: the certificates that this one trusts, and where packages are."""
    values = {name: os.environ[name] for name in ("SSL_CERT_FILE", "UV_CACHE_DIR") if name in os.environ}
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in values.items())


class Server:
    """One sshd, and the account behind it."""

    def __init__(self, folder: Path, client_key: str, more: str = "") -> None:
        folder.mkdir(parents=True)
        self.folder, self.home = folder, folder / "home"
        self.home.mkdir()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = int(listener.getsockname()[1])
        self.host_key = keys.ensure(folder / "host_key")
        (folder / "authorized_keys").write_text(f"{client_key}\n")
        (folder / "enter").write_text(_ENTER.format(home=self.home, environ=_passed()))
        (folder / "config").write_text(_CONFIG.format(port=self.port, folder=folder, more=more))
        self.start()

    def start(self) -> None:
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(parents=True, exist_ok=True)
        argv = [str(SSHD), "-D", "-E", f"{self.folder}/log", "-f", f"{self.folder}/config"]
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, start_new_session=True)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 2) as connection:
                    if connection.recv(4) == b"SSH-":
                        return
            except OSError:
                time.sleep(0.02)
        raise AssertionError((self.folder / "log").read_text())

    def stop(self) -> None:
        """The server and all its connections, as when the machine goes down."""
        from dsenv.providers.local.server import end

        end(Process.of(self.process.pid))
        self.process.wait()


class Lab:
    """A user's ssh: a configuration, a key, known hosts, and a program `ssh` that reads those and no others."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.bin = folder, folder / "bin"
        self.bin.mkdir(parents=True)
        self.key = keys.ensure(folder / "id")
        self.servers: list[Server] = []
        self.config, self.known_hosts = folder / "config", folder / "known_hosts"
        self.config.touch()
        self.known_hosts.touch()
        # OpenSSH takes the home folder from the user database, and not from HOME.
        program = self.bin / "ssh"
        program.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {self.config} "$@"\n')
        program.chmod(0o755)

    @property
    def path(self) -> str:
        """What PATH must be."""
        return f"{self.bin}{os.pathsep}{os.environ['PATH']}"

    def server(self, name: str, *, known: bool = True, extra: str = "", more: str = "") -> Server:
        """A server, and a host of that name in the configuration; `extra` lines for it there, `more` for sshd."""
        server = Server(self.folder / name, self.key, more)
        self.servers.append(server)
        lines = [
            f"Host {name}",
            "  HostName 127.0.0.1",
            f"  Port {server.port}",
            f"  User {current_user()}",
            f"  UserKnownHostsFile {self.known_hosts}",
            "  GlobalKnownHostsFile /dev/null",
            f"  {extra}" if extra else "",
            "" if "Identity" in extra else f"  IdentityFile {self.folder}/id\n  IdentitiesOnly yes",
        ]
        with self.config.open("a") as out:
            out.write("\n".join(line for line in lines if line) + "\n")
        if known:
            self.know(server)
        return server

    def know(self, server: Server) -> None:
        with self.known_hosts.open("a") as out:
            out.write(f"[127.0.0.1]:{server.port} {server.host_key}\n")

    def close(self) -> None:
        for server in self.servers:
            server.stop()
