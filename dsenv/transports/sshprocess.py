"""One `ssh` process as a channel: three streams or a terminal, and what its exit code means."""

from __future__ import annotations

import contextlib
import os
import signal
import struct
import subprocess
import threading
from collections.abc import Callable, Sequence

from dsenv.errors import TransportError
from dsenv.transports.base import Channel, OnOutput, Pty

# What the command's own 255 leaves behind on its standard error, or on its terminal, and ssh's does not.
MARK = b"\x1edsenv-255\x1e"
_FAILED = 255
_BLOCK = 1 << 16
_KEPT_ERRORS = 64 << 10
_EXPLAINED = 4 << 10
_PATIENCE_SECONDS = 5.0


class Closed(TransportError):  # noqa: N818 - an event more than an error
    """The connection was ended from this side."""

    def __init__(self, where: str) -> None:
        super().__init__(f"the connection to {where} was closed")


class Unmarked:
    """Takes the mark out of a stream, wherever it is."""

    def __init__(self) -> None:
        self.seen = False
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """What can be passed on. What may be the beginning of the mark is held back; nothing is data's end."""
        data = self._held + data
        if MARK in data:
            self.seen = True
            data = data.replace(MARK, b"")
        keep = next((size for size in range(len(MARK) - 1, 0, -1) if data.endswith(MARK[:size])), 0)
        self._held = data[len(data) - keep :] if keep else b""
        return data[: len(data) - keep] if keep else data

    def rest(self) -> bytes:
        """What was held back and turned out to be no mark."""
        held, self._held = self._held, b""
        return held


class SshProcess(Channel):
    """A running ssh."""

    def __init__(
        self,
        command: Sequence[str],
        pty: Pty | None,
        explain: Callable[[str], TransportError],
        on_output: OnOutput | None,
        *,
        keep_all: bool,
    ) -> None:
        """`explain` makes an error of ssh's words. `keep_all` keeps all of standard error, and not only its end."""
        self._explain, self._on_output, self._keep_all = explain, on_output, keep_all
        self._errors = bytearray()
        self._last_words = b""
        self._output, self._trouble = Unmarked(), Unmarked()
        self._closed = threading.Event()
        self._reading, self._sending = threading.Lock(), threading.Lock()
        self._master: int | None = None
        try:
            self._process = self._with_terminal(list(command), pty) if pty else _with_pipes(list(command))
        except OSError as error:
            raise TransportError(f"cannot run {command[0]}: {error.strerror}") from error
        self._reader = threading.Thread(target=self._read_errors, daemon=True, name="ssh-stderr")
        self._reader.start()

    @property
    def ended(self) -> bool:
        """Whether nothing has to be closed any more."""
        return self._closed.is_set()

    def send(self, data: bytes) -> None:
        with self._sending:
            self._check()
            try:
                view = memoryview(data)
                while view:
                    view = view[self._write(view) :]
            except (OSError, ValueError) as error:
                self._check()
                raise TransportError("the command takes no more input") from error

    def send_eof(self) -> None:
        if self._master is not None:
            self.send(b"\x04")
            return
        with self._sending:
            self._check()
            assert self._process.stdin is not None
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def receive(self) -> bytes:
        while True:
            with self._reading:
                self._check()
                data = self._read()
            if not data:
                self._check()
                return self._output.rest()
            if found := self._output.feed(data):
                return found

    def errors(self) -> bytes:
        return bytes(self._errors)

    def resize(self, columns: int, rows: int) -> None:
        if self._master is not None:
            import fcntl
            import termios

            fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            # It is not ssh's controlling terminal, so the kernel tells ssh nothing.
            self._process.send_signal(signal.SIGWINCH)

    def wait(self) -> int:
        code = self._process.wait()
        self._reader.join()
        self._check()
        if code == _FAILED and not (self._output.seen or self._trouble.seen):
            raise self._explain(self._last_words.decode("utf-8", "replace"))
        if code < 0:
            raise self._explain(f"ssh was ended by signal {-code}")
        return code

    def close(self) -> None:
        if self._closed.is_set():
            return
        self._closed.set()
        self._process.kill()
        self._process.wait()
        # Those who read and send see the end now; only then are the descriptors given back.
        self._reader.join(_PATIENCE_SECONDS)
        for lock, stream in ((self._reading, self._process.stdout), (self._sending, self._process.stdin)):
            held = lock.acquire(timeout=_PATIENCE_SECONDS)
            if held and stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
            if held:
                lock.release()
        if self._master is not None:
            os.close(self._master)
            self._master = None

    def _with_terminal(self, command: list[str], pty: Pty) -> subprocess.Popen[bytes]:
        if os.name == "nt":
            raise TransportError("the system's ssh is given no terminal by dsenv on Windows", hint="use ssh itself")
        import fcntl
        import termios

        self._master, slave = os.openpty()
        try:
            fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", pty.rows, pty.columns, 0, 0))
            environ = {**os.environ, "TERM": pty.term}
            process = subprocess.Popen(
                command,
                stdin=slave,
                stdout=slave,
                stderr=subprocess.PIPE,
                bufsize=0,
                env=environ,
                start_new_session=True,
            )
        except BaseException:
            os.close(self._master)
            raise
        finally:
            os.close(slave)
        return process

    def _write(self, view: memoryview) -> int:
        if self._master is not None:
            return os.write(self._master, view)
        assert self._process.stdin is not None
        return self._process.stdin.write(view)

    def _read(self) -> bytes:
        try:
            if self._master is not None:
                return os.read(self._master, _BLOCK)
            assert self._process.stdout is not None
            return os.read(self._process.stdout.fileno(), _BLOCK)
        except (OSError, ValueError):
            return b""  # EIO: ssh has left the terminal

    def _check(self) -> None:
        if self._closed.is_set():
            raise Closed("the machine")

    def _read_errors(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as source:
            while data := source.read(_BLOCK):
                self._keep(self._trouble.feed(data))
        self._keep(self._trouble.rest())

    def _keep(self, data: bytes) -> None:
        self._last_words = (self._last_words + data)[-_EXPLAINED:]
        if data and self._on_output:
            self._on_output("stderr", data)
            return
        self._errors += data
        if not self._keep_all:
            del self._errors[:-_KEPT_ERRORS]


def _with_pipes(command: list[str]) -> subprocess.Popen[bytes]:
    pipe = subprocess.PIPE
    # A session of its own, so that Ctrl-C in our terminal is for us alone.
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0, start_new_session=True)
