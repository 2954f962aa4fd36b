"""An engine behind ssh, as a socket of this machine that only its user can open.

The SDK can start `ssh` itself, once for each connection and with a port of its own choosing. Here all connections, of
all calls, share one: a control socket, see `dsenv.transports.openssh`.
"""

from __future__ import annotations

import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dsenv.errors import TransportError
from dsenv.transports.base import Channel, Transport
from dsenv.transports.openssh import OpenSshTransport

_REMOTE = ("docker", "system", "dial-stdio")
_BLOCK = 1 << 16


@contextmanager
def opened(url: str) -> Iterator[str]:
    """The address of a socket that leads to the engine at `url` (ssh://...). Raises TransportError."""
    with (
        OpenSshTransport(url) as transport,
        tempfile.TemporaryDirectory(prefix="dsenv-", dir=_short()) as folder,
        socket.socket(socket.AF_UNIX) as listener,
    ):
        listener.bind(f"{folder}/engine")
        listener.listen()
        accepting = threading.Thread(target=_accept, args=(listener, transport), daemon=True, name="engine")
        accepting.start()
        try:
            yield f"unix://{folder}/engine"
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            accepting.join()


def _short() -> str | None:
    """A folder for temporary files with a short name: paths of sockets are at most 104 bytes long."""
    return "/tmp" if Path("/tmp").is_dir() else None  # noqa: S108 - the folder made in it is private


def _accept(listener: socket.socket, transport: Transport) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_serve, args=(connection, transport), daemon=True, name="engine-connection").start()


def _serve(connection: socket.socket, transport: Transport) -> None:
    with connection, suppress(OSError, TransportError), transport.open_channel(_REMOTE) as channel:
        back = threading.Thread(target=_back, args=(channel, connection), daemon=True, name="engine-answers")
        back.start()
        with suppress(OSError, TransportError):
            while data := connection.recv(_BLOCK):
                channel.send(data)
            channel.send_eof()
        back.join()


def _back(channel: Channel, connection: socket.socket) -> None:
    with suppress(OSError, TransportError):
        while data := channel.receive():
            connection.sendall(data)
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
