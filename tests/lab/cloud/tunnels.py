"""Session Manager's data channel: what a session's stream says arrives at a port of the instance, from inside it.

As the agent does it, so no security group and no public address is needed. The protocol is the lab's own; the other
end is `tests/lab/bin/session-manager-plugin`.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import os
import secrets
import socket
import socketserver
import threading
from typing import Any

from tests.lab.cloud.world import Box

_NEW_NETWORK = 0x40000000  # CLONE_NEWNET


@dataclasses.dataclass(frozen=True)
class Session:
    id: str
    token: str
    box: Box
    port: int


class Tunnels:
    """Open sessions, and the door through which they are used."""

    def __init__(self) -> None:
        self.sessions: dict[str, Session] = {}
        tunnels = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                tunnels._serve(self.connection, self.rfile)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, name="tunnels", daemon=True).start()

    def start(self, box: Box, port: int) -> dict[str, str]:
        """A new session; the answer of StartSession."""
        session = Session(f"lab-{secrets.token_hex(8)}", secrets.token_urlsafe(48), box, port)
        self.sessions[session.id] = session
        door = self._server.server_address[1]
        return {
            "SessionId": session.id,
            "TokenValue": session.token,
            "StreamUrl": f"ws://127.0.0.1:{door}/v1/data-channel/{session.id}?role=publish_subscribe",
        }

    def _serve(self, client: socket.socket, lines: Any) -> None:
        name, _, token = lines.readline(4096).decode(errors="replace").strip().partition(" ")
        session = self.sessions.get(name)
        if session is None or session.token != token or session.box.pid is None:
            return
        with contextlib.suppress(OSError), _inside(session.box.pid, session.port) as host:
            # A client sends nothing before this answer, so nothing is left in the reader.
            client.sendall(b"+")
            back = threading.Thread(target=_pump, args=(host, client), daemon=True)
            back.start()
            _pump(client, host)
            back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def _inside(pid: int, port: int) -> socket.socket:
    """A connection to a port of the instance's own loopback. Raises OSError."""
    made: list[socket.socket | OSError] = []

    def connect() -> None:
        # A network namespace belongs to a thread; a socket stays in the one where it was made.
        try:
            namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
            try:
                if ctypes.CDLL(None, use_errno=True).setns(namespace, _NEW_NETWORK):
                    raise OSError(ctypes.get_errno(), "setns")
            finally:
                os.close(namespace)
            made.append(socket.create_connection(("127.0.0.1", port), timeout=5))
        except OSError as error:
            made.append(error)

    worker = threading.Thread(target=connect)
    worker.start()
    worker.join()
    if isinstance(made[0], OSError):
        raise made[0]
    made[0].settimeout(None)
    return made[0]
