"""The system's own `ssh`, for machines that are the user's: jump hosts, agents, certificates, security keys, `Match`.

Nothing of the user's configuration is changed or copied. Commands share one connection (a control socket), which
lives on for a while so that the next dsenv need not connect again; Windows has none, there each command connects.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from dsenv.config import paths
from dsenv.errors import HostKeyError, TransportError
from dsenv.transports.base import Channel, CommandResult, Forward, OnOutput, Pty, Transport, complete, put_command
from dsenv.transports.sshprocess import MARK, Closed, SshProcess

CONNECT_SECONDS = 10
_PERSIST_SECONDS = 120
_LONGEST_SOCKET = 86  # of 104 on macOS; ssh makes it under a name that is 17 longer
_OPENING_SECONDS = 60.0  # with a jump host or a touch of a security key
_OPTIONS = {
    "BatchMode": "yes",
    "StrictHostKeyChecking": "yes",
    "UpdateHostKeys": "no",
    "LogLevel": "ERROR",
    "ConnectTimeout": str(CONNECT_SECONDS),
    "ServerAliveInterval": "15",
    "ServerAliveCountMax": "3",
    # What the user's configuration does at each login would do it at each command.
    "ClearAllForwardings": "yes",
    "ForwardX11": "no",
    "PermitLocalCommand": "no",
    "RemoteCommand": "none",
}

# Arguments: the home or "", the working folder or "", then the command. The shell stays, because ssh says 255 both for
# its own failures and for commands that say so, and for those that a signal ended: it tells them apart.
_ENTER = f"""if [ -n "$1" ]; then
    HOME=$1; export HOME; unset XDG_CONFIG_HOME XDG_CACHE_HOME XDG_DATA_HOME XDG_STATE_HOME; cd "$1" || exit 1
fi
if [ -n "$2" ]; then cd "$2" || exit 1; fi
shift 2
exec 3>&2 2>/dev/null
trap : INT QUIT TERM HUP
(trap - INT QUIT TERM HUP; exec 2>&3 3>&-; exec "$@")
code=$?
[ "$code" -ne 255 ] || printf '%s' '{MARK.decode()}' >&3
exit "$code"
"""


_Item = TypeVar("_Item", "SshProcess", "_StreamForward")


class OpenSshTransport(Transport):
    """Commands on a host of the user's ssh configuration."""

    def __init__(self, host: str, home: str = "") -> None:
        """Connect. `home` is the HOME that commands get and start in; empty: the account's own.

        Raises TransportError, and HostKeyError when the host is not the one that known_hosts knows.
        """
        self._host, self._home = host, home
        self._base = [_ssh(), *_words(_OPTIONS)]
        self._lock = threading.Lock()
        self._open: set[SshProcess | _StreamForward] = set()
        self._closed = False
        self._connect()
        self._base += _control(host, master="no")
        if home and self.run(["test", "-d", home], cwd="/").code:
            raise TransportError(f"there is no {home} on {host} any more", hint="dsenv up")

    def run(
        self,
        argv: Sequence[str],
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        timeout: float | None = None,
        on_output: OnOutput | None = None,
    ) -> CommandResult:
        words = ["env", *(f"{name}={value}" for name, value in env.items()), *argv] if env else list(argv)
        with self._start(words, None, cwd, on_output, keep_all=True) as process:
            return complete(process, argv, stdin, timeout, on_output)

    def put(self, data: bytes, path: str, *, mode: int = 0o600) -> None:
        self._checked(put_command(path, mode), f"cannot write {path}", data)

    def get(self, path: str) -> bytes:
        return self._checked(["cat", "--", path], f"cannot read {path}")

    def open_channel(self, argv: Sequence[str], *, pty: Pty | None = None) -> Channel:
        return self._start(list(argv), pty, None, None, keep_all=False)

    def forward(self, local_port: int, remote_port: int, *, remote_host: str = "127.0.0.1") -> Forward:
        return self._added(_StreamForward(self._base, self._host, local_port, f"{remote_host}:{remote_port}"))

    def close(self) -> None:
        with self._lock:
            self._closed = True
            waiting, self._open = self._open, set()
        for item in waiting:
            item.close()

    def _checked(self, argv: Sequence[str], failing: str, stdin: bytes = b"") -> bytes:
        result = self.run(argv, stdin=stdin)
        if result.code:
            words = result.stderr.decode("utf-8", "replace").strip()
            raise TransportError(f"{failing} on {self._host}", detail=words or None)
        return result.stdout

    def _start(
        self, argv: list[str], pty: Pty | None, cwd: str | None, on_output: OnOutput | None, *, keep_all: bool
    ) -> SshProcess:
        if not argv:
            raise ValueError("a command needs at least one word")
        line = "exec " + shlex.join(["sh", "-c", _ENTER, "sh", self._home, cwd or "", *argv])
        command = [*self._base, "-tt" if pty else "-T", "--", self._host, line]
        self._check()
        process = SshProcess(command, pty, lambda words: explain(self._host, words), on_output, keep_all=keep_all)
        return self._added(process)

    def _added(self, item: _Item) -> _Item:
        with self._lock:
            closed = self._closed
            if not closed:
                self._open = {other for other in self._open if not other.ended} | {item}
        if closed:
            item.close()
            self._check()
        return item

    def _check(self) -> None:
        if self._closed:
            raise Closed(self._host)

    def _connect(self) -> None:
        """The first command opens the connection for those that follow, or finds it open."""
        argv = [*self._base, *_control(self._host, master="auto"), "-T", "--", self._host, "exit 0"]
        null = subprocess.DEVNULL
        # A file and no pipe: the connection lives on in the background, and a pipe would have no end.
        with tempfile.TemporaryFile() as errors:
            try:
                done = subprocess.run(
                    argv,
                    stdin=null,
                    stdout=null,
                    stderr=errors,
                    timeout=_OPENING_SECONDS,
                    check=False,
                    start_new_session=True,
                )
            except subprocess.TimeoutExpired:
                raise TransportError(
                    f"{self._host} did not answer for {_OPENING_SECONDS:g} s", hint=f"ssh {self._host} true"
                ) from None
            except OSError as error:
                raise TransportError(f"cannot run {argv[0]}: {error.strerror}") from error
            errors.seek(0)
            if done.returncode:
                raise explain(self._host, errors.read(1 << 16).decode("utf-8", "replace"))


def disconnect(host: str) -> None:
    """End the connection to `host` that is kept open, if there is one."""
    control = _control(host, master="no")
    if control:
        argv = [_ssh(), *control, "-O", "exit", "--", host]
        subprocess.run(argv, capture_output=True, timeout=CONNECT_SECONDS, check=False)


def way(host: str) -> tuple[str, ...]:
    """The words that, before a command's, run it on `host` as this transport would; over an open connection of ours."""
    return (_ssh(), *_words(_OPTIONS), *_control(host, master="no"), "-T", "--", host)


def settings_of(host: str) -> dict[str, list[str]]:
    """What the user's configuration says of a host, by lower-case keyword. Raises TransportError."""
    try:
        done = subprocess.run([_ssh(), "-G", "--", host], capture_output=True, timeout=CONNECT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise TransportError(f"cannot ask ssh about {host}: {error}") from error
    if done.returncode:
        raise explain(host, done.stderr.decode("utf-8", "replace"))
    found: dict[str, list[str]] = {}
    for line in done.stdout.decode("utf-8", "surrogateescape").splitlines():
        name, _, value = line.partition(" ")
        found.setdefault(name.lower(), []).append(value)
    return found


def explain(host: str, words: str) -> TransportError:
    """ssh's last words as an error of ours."""
    lines = [line.strip() for line in words.replace("\r", "").splitlines() if line.strip()]
    detail = "\n".join(lines[-8:]) or None
    lower = words.lower()
    if "identification has changed" in lower:
        return HostKeyError(
            f"{host} showed another host key than the one in your known_hosts: another machine, or someone in between",
            hint=f"if you know why: ssh-keygen -R {host}, then connect by hand: ssh {host}",
            detail=detail,
        )
    if "host key verification failed" in lower:
        return TransportError(
            f"the host key of {host} is not known here",
            hint=f"connect once by hand and compare its fingerprint: ssh {host} true",
            detail=detail,
        )
    if "permission denied" in lower or "too many authentication failures" in lower:
        return TransportError(
            f"{host} does not let you in without a question",
            hint=f"make `ssh -o BatchMode=yes {host} true` work: a key, or a loaded agent (ssh-add)",
            detail=detail,
        )
    if "could not resolve hostname" in lower:
        return TransportError(
            f"there is no host {host}", hint="correct `host` in dsenv.toml, or add it to ~/.ssh/config", detail=detail
        )
    last = lines[-1] if lines else "the connection was cut"
    return TransportError(f"cannot reach {host}: {last}", hint=f"ssh {host} true", detail=detail)


def _ssh() -> str:
    found = shutil.which("ssh")
    if found is None:
        raise TransportError("there is no ssh on this machine", hint="install OpenSSH's client")
    return found


def _words(options: Mapping[str, str]) -> list[str]:
    return [word for name, value in options.items() for word in ("-o", f"{name}={value}")]


def _control(host: str, *, master: str) -> list[str]:
    """The options for the shared connection; none on Windows, whose ssh cannot, and where the path is too long."""
    if sys.platform == "win32":
        return []
    folder = paths.private(paths.runtime_dir()) / "ssh"
    paths.private(folder)
    name = hashlib.sha256(f"{Path.home()}\0{host}".encode("utf-8", "surrogateescape")).hexdigest()[:16]
    if len(os.fsencode(folder / name)) > _LONGEST_SOCKET:
        return []
    persist = {"ControlPersist": str(_PERSIST_SECONDS)} if master == "auto" else {}
    return _words({"ControlMaster": master, "ControlPath": str(folder / name)} | persist)


class _StreamForward(Forward):
    """Listens on loopback; each connection is the standard streams of an `ssh -W`."""

    def __init__(self, base: Sequence[str], host: str, local_port: int, destination: str) -> None:
        self._argv = [*base, "-W", destination, "--", host]
        try:
            self._listener = socket.create_server(("127.0.0.1", local_port))
        except OSError as error:
            raise TransportError(
                f"port {local_port} of this machine cannot be used: {error.strerror}",
                hint=f"take another one: dsenv forward {local_port + 1}:{destination.rpartition(':')[2]}",
            ) from error
        self.local_port = int(self._listener.getsockname()[1])
        self.ended = False
        self._lock = threading.Lock()
        self._children: set[subprocess.Popen[bytes]] = set()
        threading.Thread(target=self._accept, daemon=True, name=f"forward-{self.local_port}").start()

    def close(self) -> None:
        with self._lock:
            self.ended = True
            children = list(self._children)
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for child in children:
            child.kill()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True, name="forwarded").start()

    def _serve(self, connection: socket.socket) -> None:
        pipe = subprocess.PIPE
        with connection:
            with self._lock:
                if self.ended:
                    return
                child = subprocess.Popen(
                    self._argv, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, bufsize=0, start_new_session=True
                )
                self._children.add(child)
            with child, contextlib.suppress(OSError, ValueError):
                sender = threading.Thread(target=_send, args=(connection, child), daemon=True, name="forwarded-up")
                sender.start()
                assert child.stdout is not None
                while data := child.stdout.read(1 << 16):
                    connection.sendall(data)
                # Nobody listens there, or it has said all: the client sees its connection end, as it would there.
                connection.shutdown(socket.SHUT_RDWR)
                child.kill()
                sender.join()
            with self._lock:
                self._children.discard(child)


def _send(connection: socket.socket, child: subprocess.Popen[bytes]) -> None:
    assert child.stdin is not None
    with contextlib.suppress(OSError, ValueError):
        while data := connection.recv(1 << 16):
            child.stdin.write(data)
        child.stdin.close()
