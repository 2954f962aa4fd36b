"""A server process that outlives us: start it detached, know it again, end it."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic, sleep

from dsenv.agent.process import Process, boot_id
from dsenv.errors import ProviderError

_START_SECONDS = 15.0
_END_SECONDS = 5.0
# The shell ends at once, so the server belongs to init: it is nobody's zombie and holds none of our descriptors.
_DETACH = 'log=$1; shift; "$@" </dev/null >>"$log" 2>&1 & echo $!'


def detach(argv: Sequence[str], log: Path, environ: dict[str, str]) -> Process:
    """Start a server in a session of its own, its output in `log`. Raises ProviderError."""
    try:
        started = subprocess.run(
            ["/bin/sh", "-c", _DETACH, "sh", str(log), *argv],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=environ,
            cwd=log.parent,
            start_new_session=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise ProviderError(f"cannot start {argv[0]}: {error}") from error
    return Process.of(int(started.stdout))


def wait_for_banner(process: Process, port: int, log: Path) -> None:
    """Wait until an SSH server answers on the port. Raises ProviderError with the log's end when it died."""
    deadline = monotonic() + _START_SECONDS
    while monotonic() < deadline:
        if answers(port):
            return
        if not process.alive():
            break
        sleep(0.01)
    end(process)
    raise ProviderError("the workstation's SSH server did not start", detail=tail(log), hint="dsenv doctor")


def answers(port: int) -> bool:
    """Whether something that speaks SSH listens on the loopback port."""
    try:
        with socket.create_connection(("127.0.0.1", port), 2) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def is_free(port: int) -> bool:
    """Whether a server could listen on the loopback port."""
    try:
        with socket.create_server(("127.0.0.1", port)):
            return True
    except OSError:
        return False


def tail(log: Path, size: int = 1500) -> str:
    """The end of a log, for a message."""
    try:
        return log.read_bytes()[-size:].decode("utf-8", "replace").strip()
    except OSError:
        return ""


def descendants(pid: int) -> list[Process]:
    """Processes that a server started and that are still its children, theirs included. Linux only; else empty."""
    children: dict[int, list[int]] = {}
    try:
        entries = [int(item.name) for item in Path("/proc").iterdir() if item.name.isdigit()]
    except OSError:
        return []
    for entry in entries:
        try:
            fields = Path(f"/proc/{entry}/stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(entry)
    found, waiting = [], [pid]
    while waiting:
        for child in children.get(waiting.pop(), []):
            found.append(Process.of(child))
            waiting.append(child)
    return found


def end(process: Process, boot: Callable[[], str] = boot_id) -> None:
    """End a server and its sessions: asked first, made to after a while. Nothing else is touched."""
    family = [process, *(child._replace(boot=process.boot) for child in descendants(process.pid))]
    family = family if process.alive(boot) else []
    for number in (signal.SIGTERM, signal.SIGKILL):
        family = [member for member in family if member.signal(number, boot=boot)]
        deadline = monotonic() + _END_SECONDS
        while family and monotonic() < deadline:
            family = [member for member in family if member.alive(boot)]
            sleep(0.01)
