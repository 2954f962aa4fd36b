"""Commands on this machine, behind the same interface: for tests, and where no connection is needed."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import struct
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from dsenv.errors import TransportError
from dsenv.transports.base import Channel, CommandResult, Forward, OnOutput, Pty, Stream, Transport, complete

_BLOCK = 1 << 16
_KEPT_ERRORS = 64 << 10
_PATIENCE_SECONDS = 2.0


@contextmanager
def _translated(doing: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TransportError(f"{doing}: {error.strerror or error}") from error
    except ValueError as error:  # the stream was closed by another thread
        raise TransportError(f"{doing}: the connection was closed") from error


class LocalTransport(Transport):
    """Runs commands as children, in `home`. POSIX only."""

    def __init__(self, home: Path, environ: Mapping[str, str] | None = None) -> None:
        """`environ` is what commands see, HOME excepted; default: what we see."""
        self._home = home
        self._environ = {**(os.environ if environ is None else environ), "HOME": str(home)}
        self._lock = threading.Lock()
        self._open: set[_LocalChannel] = set()
        self._forwards: set[_LocalForward] = set()
        self._closed = False

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
        with self._start(argv, None, cwd, env) as channel:
            channel.keep_errors(on_output)
            return complete(channel, argv, stdin, timeout, on_output)

    def put(self, data: bytes, path: str, *, mode: int = 0o600) -> None:
        file = self._home / path
        with _translated(f"cannot write {file}"):
            file.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=file.parent)
            try:
                with os.fdopen(handle, "wb") as out:
                    out.write(data)
                Path(temporary).chmod(mode)
                Path(temporary).replace(file)
            except OSError:
                Path(temporary).unlink(missing_ok=True)
                raise

    def get(self, path: str) -> bytes:
        with _translated(f"cannot read {self._home / path}"):
            return (self._home / path).read_bytes()

    def open_channel(self, argv: Sequence[str], *, pty: Pty | None = None) -> Channel:
        return self._start(argv, pty, None, None)

    def forward(self, local_port: int, remote_port: int, *, remote_host: str = "127.0.0.1") -> Forward:
        forward = _LocalForward(local_port, (remote_host, remote_port))
        self._forwards.add(forward)
        return forward

    def close(self) -> None:
        with self._lock:
            self._closed = True
            channels = list(self._open)
        for channel in channels:
            channel.close()
        for forward in self._forwards:
            forward.close()

    def _start(
        self, argv: Sequence[str], pty: Pty | None, cwd: str | None, env: Mapping[str, str] | None
    ) -> _LocalChannel:
        with self._lock:
            if self._closed:
                raise TransportError("the connection was closed")
            environ = {**self._environ, **(env or {}), **({"TERM": pty.term} if pty else {})}
            channel = _LocalChannel(list(argv), Path(cwd) if cwd else self._home, environ, pty, self._open.discard)
            self._open.add(channel)
            return channel


class _LocalChannel(Channel):
    """A child with pipes, or with a terminal."""

    def __init__(self, argv: list[str], cwd: Path, environ: dict[str, str], pty: Pty | None, gone: object) -> None:
        self._errors = bytearray()
        self._keep_all = False
        self._on_errors: OnOutput | None = None
        self._closed = threading.Event()
        self._gone = gone
        self._missing = 0
        self._master: int | None = None
        try:
            self._process: subprocess.Popen[bytes] | None = self._spawn(argv, cwd, environ, pty)
        except OSError as error:
            self._process = None
            self._missing = 126 if isinstance(error, PermissionError) else 127
            self._errors += f"{error.filename or argv[0]}: {error.strerror}\n".encode("utf-8", "surrogateescape")
        self._reader = threading.Thread(target=self._read_errors, daemon=True, name="local-stderr")
        self._reading = False

    def _spawn(self, argv: list[str], cwd: Path, environ: dict[str, str], pty: Pty | None) -> subprocess.Popen[bytes]:
        if pty is None:
            pipe = subprocess.PIPE
            return subprocess.Popen(
                argv, stdin=pipe, stdout=pipe, stderr=pipe, cwd=cwd, env=environ, start_new_session=True, bufsize=0
            )
        self._master, slave = os.openpty()
        self.resize(pty.columns, pty.rows)
        try:
            return subprocess.Popen(
                argv,
                stdin=slave,
                stdout=slave,
                stderr=slave,
                cwd=cwd,
                env=environ,
                start_new_session=True,
                preexec_fn=_terminal_taker(),  # noqa: PLW1509 - one system call, which takes no lock
            )
        finally:
            os.close(slave)

    def send(self, data: bytes) -> None:
        with _translated("the command takes no more input"):
            self._check()
            if self._master is not None:
                view = memoryview(data)
                while view:
                    view = view[os.write(self._master, view) :]
            elif self._process and self._process.stdin:
                view = memoryview(data)
                while view:
                    view = view[self._process.stdin.write(view) :]

    def send_eof(self) -> None:
        with _translated("the command takes no more input"):
            self._check()
            if self._master is not None:
                os.write(self._master, b"\x04")
            elif self._process and self._process.stdin:
                self._process.stdin.close()

    def receive(self) -> bytes:
        self._start_reader()
        if self._process is None:
            return b""
        while True:
            self._check()
            try:
                source = self._master if self._master is not None else self._stdout()
                if select.select([source], [], [], 0.1)[0]:
                    return os.read(source, _BLOCK)
            except (OSError, ValueError):
                self._check()
                return b""  # EIO: the last process left the terminal

    def errors(self) -> bytes:
        return bytes(self._errors)

    def resize(self, columns: int, rows: int) -> None:
        if self._master is not None:
            import fcntl
            import termios

            fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def wait(self) -> int:
        self._start_reader()
        if self._process is None:
            return self._missing
        self._reader.join()
        code = self._process.wait()
        return code if code >= 0 else 128 - code

    def close(self) -> None:
        if self._closed.is_set():
            return
        self._closed.set()
        process = self._process
        if process is not None:
            unread = [] if self._reading else [process.stderr]
            for stream in (process.stdin, process.stdout, *unread):
                if stream:
                    with contextlib.suppress(OSError):
                        stream.close()
            threading.Thread(target=_reap, args=(process,), daemon=True, name="reaper").start()
        if self._master is not None:
            os.close(self._master)
        if callable(self._gone):
            self._gone(self)

    def keep_errors(self, on_output: OnOutput | None) -> None:
        """All of standard error, or pass it on to `on_output`. Before anything is read."""
        self._on_errors, self._keep_all = on_output, True

    def _stdout(self) -> int:
        assert self._process is not None and self._process.stdout is not None
        return self._process.stdout.fileno()

    def _check(self) -> None:
        if self._closed.is_set():
            raise TransportError("the connection was closed")

    def _start_reader(self) -> None:
        """Not before it is known what is to be done with what is read."""
        if not self._reading:
            self._reading = True
            self._reader.start()

    def _read_errors(self) -> None:
        if self._process is None or self._process.stderr is None:
            return
        with self._process.stderr as source:
            while data := source.read(_BLOCK):
                if self._on_errors:
                    stream: Stream = "stderr"
                    self._on_errors(stream, data)
                    continue
                self._errors += data
                if not self._keep_all:
                    del self._errors[:-_KEPT_ERRORS]


def _reap(process: subprocess.Popen[bytes]) -> None:
    """Let a command end by itself when its input ends; else hang it up, as the end of a connection does."""
    try:
        process.wait(_PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGHUP)
        process.wait()


def _terminal_taker() -> Callable[[], None]:
    """What a child does to make its standard input its controlling terminal."""
    import fcntl
    import termios

    def take() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    return take


class _LocalForward(Forward):
    """Copies between two ports of this machine."""

    def __init__(self, local_port: int, destination: tuple[str, int]) -> None:
        self._destination = destination
        with _translated(f"port {local_port} of this machine cannot be used"):
            self._listener = socket.create_server(("127.0.0.1", local_port))
        self.local_port = int(self._listener.getsockname()[1])
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True, name=f"forward-{self.local_port}").start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True, name="forwarded").start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                other = socket.create_connection(self._destination, 10)
            except OSError:
                return
            with other:
                pair = {connection, other}
                self._open |= pair
                with contextlib.suppress(OSError):
                    _splice(connection, other)
                self._open -= pair


def _splice(one: socket.socket, other: socket.socket) -> None:
    """Copy both ways until both directions have ended."""
    targets = {one: other, other: one}
    sources = [one, other]
    while sources:
        for source in select.select(sources, [], [])[0]:
            data = source.recv(_BLOCK)
            if data:
                targets[source].sendall(data)
            else:
                sources.remove(source)
                targets[source].shutdown(socket.SHUT_WR)
