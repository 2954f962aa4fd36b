"""SSH through paramiko: the only module that knows it, and the place where its exceptions end."""

from __future__ import annotations

import logging
import select
import signal
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from dsenv.errors import HostKeyError, TransportError
from dsenv.models.machine import Endpoint
from dsenv.transports.absent import absent
from dsenv.transports.base import (
    Channel,
    CommandResult,
    Forward,
    OnOutput,
    Pty,
    Stream,
    Transport,
    command_line,
    complete,
    put_command,
)
from dsenv.transports.proxy import Proxy

# paramiko.config imports invoke for `Match exec`, which we never read: half of paramiko's start-up time.
with absent("invoke"):
    import paramiko
    from paramiko.common import MSG_CHANNEL_REQUEST

_CONNECT_SECONDS = 10.0
_KEEPALIVE_SECONDS = 15
_WINDOW = 16 << 20
_BLOCK = 1 << 16
_KEPT_ERRORS = 64 << 10
# What paramiko raises when the connection is, or was, gone.
_CUT = (paramiko.SSHException, EOFError, OSError)
# AES-GCM is several times faster here than paramiko's first choice, and as safe.
_CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes256-ctr")

# Its log is for its authors: a refused connection would otherwise print a traceback to the user's terminal.
logging.getLogger("paramiko").setLevel(logging.CRITICAL)


@contextmanager
def _translated(where: str, doing: str) -> Iterator[None]:
    """Errors of paramiko and of sockets become ours, with the machine's name in them."""
    try:
        yield
    except paramiko.BadHostKeyException as error:
        raise _wrong_host_key(where) from error
    except paramiko.AuthenticationException as error:
        raise TransportError(f"{where} does not accept our key", hint="dsenv up") from error
    except _CUT as error:
        reason = getattr(error, "strerror", None) or str(error) or "the connection was cut"
        raise TransportError(f"{doing} {where}: {reason}", hint="dsenv status") from error


def _wrong_host_key(where: str) -> HostKeyError:
    return HostKeyError(
        f"{where} showed a host key that is not the one dsenv pinned: it is another machine, or someone is in between",
        hint="if you know why, destroy the workstation with `dsenv down` and make it again with `dsenv up`",
    )


class SshTransport(Transport):
    """One authenticated SSH connection."""

    def __init__(self, endpoint: Endpoint, *, timeout: float = _CONNECT_SECONDS) -> None:
        """Connect, check the host key against the pinned one, authenticate. Raises TransportError or HostKeyError."""
        self._where = f"{endpoint.host_key_alias} ({endpoint.host}:{endpoint.port})"
        self._proxy = Proxy(endpoint.proxy) if endpoint.proxy else None
        try:
            with _translated(self._where, "cannot connect to"):
                raw = self._proxy.socket if self._proxy else _dialled(endpoint, timeout)
                self._transport = _connect(raw, endpoint, self._where, timeout)
        except TransportError as error:
            error.detail = error.detail or (self._proxy and self._proxy.words()) or None
            self._close_proxy()
            raise
        except BaseException:
            self._close_proxy()
            raise

    @property
    def where(self) -> str:
        """The machine's name for messages."""
        return self._where

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
        with _SshChannel(self._open(command_line(argv, cwd, env), None), self._where) as channel:
            channel.keep_errors(on_output)
            return complete(channel, argv, stdin, timeout, on_output, self._where)

    def put(self, data: bytes, path: str, *, mode: int = 0o600) -> None:
        result = self.run(put_command(path, mode), stdin=data)
        if result.code:
            words = result.stderr.decode("utf-8", "replace").strip()
            raise TransportError(f"cannot write {path} on {self._where}", detail=words or None)

    def get(self, path: str) -> bytes:
        result = self.run(["cat", "--", path])
        if result.code:
            words = result.stderr.decode("utf-8", "replace").strip()
            raise TransportError(f"cannot read {path} on {self._where}", detail=words or None)
        return result.stdout

    def open_channel(self, argv: Sequence[str], *, pty: Pty | None = None) -> Channel:
        return _SshChannel(self._open(command_line(argv), pty), self._where)

    def forward(self, local_port: int, remote_port: int, *, remote_host: str = "127.0.0.1") -> Forward:
        return _SshForward(self._transport, self._where, local_port, (remote_host, remote_port))

    def close(self) -> None:
        self._transport.close()
        self._close_proxy()

    def _close_proxy(self) -> None:
        if self._proxy:
            self._proxy.close()

    def _open(self, line: str, pty: Pty | None) -> paramiko.Channel:
        with _translated(self._where, "cannot run a command on"):
            channel = self._transport.open_session(window_size=_WINDOW, timeout=_CONNECT_SECONDS)
            try:
                if pty:
                    channel.get_pty(pty.term, pty.columns, pty.rows)
                channel.exec_command(line)
            except BaseException:
                channel.close()
                raise
            return channel


def _dialled(endpoint: Endpoint, timeout: float) -> socket.socket:
    raw = socket.create_connection((endpoint.host, endpoint.port), timeout)
    # paramiko leaves Nagle's algorithm on, which costs 40 ms for every command.
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return raw


def _connect(raw: socket.socket, endpoint: Endpoint, where: str, timeout: float) -> paramiko.Transport:
    try:
        transport = paramiko.Transport(raw, default_window_size=_WINDOW)
    except BaseException:
        raw.close()
        raise
    try:
        transport.banner_timeout = transport.handshake_timeout = timeout
        known = set(transport.get_security_options().ciphers)
        transport.get_security_options().ciphers = [name for name in _CIPHERS if name in known]
        kind, _, blob = endpoint.host_key.partition(" ")
        transport.get_security_options().key_types = [kind]
        transport.start_client(timeout=timeout)
        shown = transport.get_remote_server_key()
        if (shown.get_name(), shown.get_base64()) != (kind, blob.strip()):
            raise _wrong_host_key(where)
        transport.auth_publickey(endpoint.user, paramiko.Ed25519Key.from_private_key_file(str(endpoint.key_file)))
        transport.set_keepalive(_KEEPALIVE_SECONDS)
        _report_signals(transport)
    except BaseException:
        transport.close()
        raise
    return transport


def _report_signals(transport: paramiko.Transport) -> None:
    """Let a command that a signal ended have the exit status that a shell would give it.

    paramiko drops the message that says so, and offers no public place to hear it.
    """
    handlers = dict(transport._channel_handler_table)  # type: ignore[attr-defined]
    ordinary = handlers[MSG_CHANNEL_REQUEST]

    def handle(channel: paramiko.Channel, message: paramiko.Message) -> None:
        if message.get_text() == "exit-signal":
            message.get_boolean()
            channel.exit_status = 128 + getattr(signal, f"SIG{message.get_text()}", 0)
            channel.status_event.set()
            return
        message.rewind()
        message.get_int()  # the channel's number, which was read before
        ordinary(channel, message)

    handlers[MSG_CHANNEL_REQUEST] = handle
    transport._channel_handler_table = handlers  # type: ignore[attr-defined]


class _SshChannel(Channel):
    """A session channel whose standard error has a reader of its own: else a full window would stop both streams."""

    def __init__(self, channel: paramiko.Channel, where: str) -> None:
        self._channel = channel
        self._where = where
        self._errors = bytearray()
        self._on_errors: OnOutput | None = None
        self._reader = threading.Thread(target=self._read_errors, daemon=True, name="ssh-stderr")
        self._started = False
        self._complete = False  # whether all of standard error is kept, and not only its end

    def send(self, data: bytes) -> None:
        with _translated(self._where, "cannot send to the command on"):
            self._channel.sendall(data)

    def send_eof(self) -> None:
        with _translated(self._where, "cannot send to the command on"):
            self._channel.shutdown_write()

    def receive(self) -> bytes:
        self._start_reader()
        with _translated(self._where, "cannot read from the command on"):
            data = self._channel.recv(_BLOCK)
        if not data and not (self._channel.eof_received or self._ended()):
            raise TransportError(f"the connection to {self._where} was cut", hint="dsenv status")
        return data

    def errors(self) -> bytes:
        return bytes(self._errors)

    def resize(self, columns: int, rows: int) -> None:
        with _translated(self._where, "cannot reach"):
            self._channel.resize_pty(columns, rows)

    def wait(self) -> int:
        self._start_reader()
        self._reader.join()
        self._channel.status_event.wait()
        code = self._channel.exit_status
        if code < 0:
            raise TransportError(
                f"the connection to {self._where} was cut before the command's end", hint="dsenv status"
            )
        return code

    def close(self) -> None:
        with suppress(*_CUT):
            self._channel.close()

    def _ended(self) -> bool:
        return self._channel.exit_status >= 0

    def keep_errors(self, on_output: OnOutput | None) -> None:
        """All of standard error, or pass it on to `on_output`. Before anything is read."""
        self._on_errors, self._complete = on_output, True

    def _start_reader(self) -> None:
        if not self._started:
            self._started = True
            self._reader.start()

    def _read_errors(self) -> None:
        with suppress(*_CUT):
            while data := self._channel.recv_stderr(_BLOCK):
                if self._on_errors:
                    stream: Stream = "stderr"
                    self._on_errors(stream, data)
                    continue
                self._errors += data
                if not self._complete:
                    del self._errors[:-_KEPT_ERRORS]


class _SshForward(Forward):
    """Listens on loopback; each connection gets a direct-tcpip channel and a thread."""

    def __init__(
        self, transport: paramiko.Transport, where: str, local_port: int, destination: tuple[str, int]
    ) -> None:
        self._transport, self._destination = transport, destination
        try:
            self._listener = socket.create_server(("127.0.0.1", local_port))
        except OSError as error:
            raise TransportError(
                f"port {local_port} of this machine cannot be used: {error.strerror}",
                hint=f"take another one: dsenv forward {local_port + 1}:{destination[1]}",
            ) from error
        self.local_port = int(self._listener.getsockname()[1])
        self._open: set[socket.socket] = set()
        self._closed = False
        threading.Thread(target=self._accept, daemon=True, name=f"forward-{self.local_port}").start()

    def close(self) -> None:
        self._closed = True
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while not self._closed:
            try:
                connection, origin = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection, origin), daemon=True, name="forwarded").start()

    def _serve(self, connection: socket.socket, origin: tuple[str, int]) -> None:
        with connection:
            try:
                channel = self._transport.open_channel("direct-tcpip", self._destination, origin)
            except _CUT:
                return  # nobody listens there: the client sees its connection close, as it would over there
            self._open.add(connection)
            with suppress(*_CUT):
                _splice(connection, channel)
            self._open.discard(connection)
            with suppress(*_CUT):
                channel.close()


def _splice(connection: socket.socket, channel: paramiko.Channel) -> None:
    """Copy both ways until both directions have ended."""
    ends: list[socket.socket | paramiko.Channel] = [connection, channel]
    while ends:
        for end in select.select(ends, [], [])[0]:
            data = end.recv(_BLOCK)
            other = channel if end is connection else connection
            if data:
                other.sendall(data)
                continue
            ends.remove(end)
            if isinstance(other, socket.socket):
                other.shutdown(socket.SHUT_WR)
            else:
                other.shutdown_write()
