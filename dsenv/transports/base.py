"""How commands, files and ports are reached on a machine, whatever lies between.

`Transport` is for strangers to implement; `dsenv.testing.transports` holds the conformance suite that every
implementation passes.
"""

from __future__ import annotations

import dataclasses
import gzip
import shlex
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Literal, Self

from dsenv.errors import TransportError

Stream = Literal["stdout", "stderr"]
OnOutput = Callable[[Stream, bytes], None]


@dataclasses.dataclass(frozen=True)
class CommandResult:
    """What a command wrote and how it ended. A command that a signal ended has `code` 128 + the signal."""

    argv: tuple[str, ...]
    code: int
    stdout: bytes
    stderr: bytes

    def check(self) -> Self:
        """This result, if the command succeeded. Raises TransportError with the command's last words."""
        if self.code:
            words = (self.stderr or self.stdout).decode("utf-8", "replace").strip()
            raise TransportError(f"`{shlex.join(self.argv)}` ended with {self.code}", detail=words[-2000:] or None)
        return self


@dataclasses.dataclass(frozen=True)
class Pty:
    """A terminal to be made on the machine."""

    term: str
    columns: int
    rows: int


class Channel(ABC):
    """A running command as a stream of bytes in both directions.

    One thread may send while another one receives. `close` from a third one wakes both.
    """

    @abstractmethod
    def send(self, data: bytes) -> None:
        """Give the command all of `data` as standard input. Raises TransportError when it takes no more."""

    @abstractmethod
    def send_eof(self) -> None:
        """End the command's standard input."""

    @abstractmethod
    def receive(self) -> bytes:
        """The next bytes of standard output, as soon as there are any; empty at its end. Raises TransportError."""

    @abstractmethod
    def errors(self) -> bytes:
        """What the command has written to standard error until now, at most the last 64 KiB."""

    @abstractmethod
    def resize(self, columns: int, rows: int) -> None:
        """Tell the command's terminal its size. Nothing happens without one."""

    @abstractmethod
    def wait(self) -> int:
        """The command's exit code once its output has ended. Raises TransportError when it cannot be known."""

    @abstractmethod
    def close(self) -> None:
        """End the conversation. Safe to repeat. The command is not waited for."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Forward(ABC):
    """A port here that leads to a port there, until it is closed."""

    local_port: int

    @abstractmethod
    def close(self) -> None:
        """Stop listening and end the connections. Safe to repeat."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Transport(ABC):
    """A connection to one machine.

    Commands are lists of words: no shell sees them unless it is the first word. They start in the user's home
    folder on the machine, and so do relative paths of `put` and `get`.

    Errors: everything that goes wrong between here and there is a TransportError (HostKeyError when the machine
    is not the expected one), raised by the call that notices. A command that fails is a result, not an error.
    After a TransportError the transport may be dead; make a new one. Nothing is retried here.

    Threads: all methods may be called from any thread at the same time. `close` interrupts calls that wait in
    other threads; they raise TransportError.

    `env` is visible to other users of the machine while the command runs, as arguments are: secrets travel in
    frames of `dsenv.agent.protocol` instead.
    """

    @abstractmethod
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
        """Run a command to its end. `timeout` is in seconds and raises TransportError; the command may live on.

        `on_output` sees the pieces as they come and keeps them out of the result. A command that cannot be
        started has code 127 (not found) or 126 (not executable).
        """

    @abstractmethod
    def put(self, data: bytes, path: str, *, mode: int = 0o600) -> None:
        """Write a file in one step: a reader sees the old or the new content. Its folder is made when missing."""

    @abstractmethod
    def get(self, path: str) -> bytes:
        """A file's content."""

    @abstractmethod
    def open_channel(self, argv: Sequence[str], *, pty: Pty | None = None) -> Channel:
        """Start a command and talk with it. With `pty` its three streams are one terminal.

        Raises TransportError when the machine refuses the terminal.
        """

    @abstractmethod
    def forward(self, local_port: int, remote_port: int, *, remote_host: str = "127.0.0.1") -> Forward:
        """Let a port on this machine's loopback lead to one over there. Port 0 takes a free one."""

    @abstractmethod
    def close(self) -> None:
        """End the connection and all that hangs on it. Safe to repeat."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def complete(
    channel: Channel,
    argv: Sequence[str],
    stdin: bytes,
    timeout: float | None,
    on_output: OnOutput | None,
    where: str = "",
) -> CommandResult:
    """Feed a command that was started, read it and wait for it: what `Transport.run` does over a channel.

    All of standard error must be kept by the channel, or be passed on by it. Raises TransportError, which after
    `timeout` seconds says so, and `where` if that is said.
    """
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        channel.close()

    timer = threading.Timer(timeout, expire) if timeout is not None else None
    if timer:
        timer.daemon = True
        timer.start()
    threading.Thread(target=_feed, args=(channel, stdin), daemon=True, name="stdin").start()
    output = bytearray()
    try:
        while data := channel.receive():
            if on_output:
                on_output("stdout", data)
            else:
                output += data
        code = channel.wait()
    except TransportError:
        if expired.is_set():
            raise TransportError(f"a command{where and f' on {where}'} took longer than {timeout:g} s") from None
        raise
    finally:
        if timer:
            timer.cancel()
    return CommandResult(tuple(argv), code, bytes(output), channel.errors())


def _feed(channel: Channel, stdin: bytes) -> None:
    with suppress(TransportError):  # a command may end without reading its input; its exit code says what matters
        channel.send(stdin)
        channel.send_eof()


PUT_SCRIPT = (
    'set -e; umask 077; d=$(dirname -- "$1"); mkdir -p -- "$d"; t=$(mktemp "$d/.dsenv.XXXXXX"); '
    'trap \'rm -f -- "$t"\' EXIT; cat > "$t"; chmod "$2" "$t"; mv -f -- "$t" "$1"'
)


def put_command(path: str, mode: int) -> list[str]:
    """The command that writes its standard input to `path` in one step, for transports without a file channel."""
    return ["sh", "-c", PUT_SCRIPT, "sh", path, f"{mode:o}"]


def put_compressed(transport: Transport, data: bytes, path: str, *, mode: int = 0o600) -> None:
    """As `Transport.put`, for what is large and gets smaller: it is compressed on the way. Raises TransportError."""
    script = PUT_SCRIPT.replace("cat >", "gzip -dc >")
    transport.run(["sh", "-c", script, "sh", path, f"{mode:o}"], stdin=gzip.compress(data, 1)).check()


def command_line(argv: Sequence[str], cwd: str | None = None, env: Mapping[str, str] | None = None) -> str:
    """The one place where words become a line for a remote shell, which then runs exactly these words."""
    words = list(argv)
    if not words:
        raise ValueError("a command needs at least one word")
    if env:
        words = ["env", *(f"{name}={value}" for name, value in env.items()), *words]
    line = f"exec {shlex.join(words)}"
    return f"cd {shlex.quote(cwd)} && {line}" if cwd else line
