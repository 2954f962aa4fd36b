"""Bytes between a client's stream and a job's socket, neither of which may hold up the other."""

from __future__ import annotations

import contextlib
import os
import select
import socket
from collections import deque
from typing import Deque, Iterable, Optional

from dsenv.agent import protocol

_BLOCK = 1 << 16
_BUFFERED = 256 << 10
_FOR_THE_JOB = {protocol.STDIN, protocol.STDIN_END, protocol.WINDOW, protocol.SIGNAL}


class Link:
    """The agent's side of one client's stream."""

    def __init__(self, source: int, target: int) -> None:
        self._source, self._target = source, target
        self._decoder = protocol.Decoder()
        self._waiting: Deque[protocol.Frame] = deque()

    def receive(self) -> Optional[protocol.Frame]:
        """The next frame, or None when the client has closed. Raises ProtocolError when it was cut in a frame."""
        while not self._waiting:
            data = os.read(self._source, _BLOCK)
            if not data:
                if self._decoder.pending:
                    raise protocol.ProtocolError("the connection was cut")
                return None
            self._waiting.extend(self._decoder.feed(data))
        return self._waiting.popleft()

    def need(self) -> protocol.Frame:
        """The next frame, where the end of the connection would be half a request."""
        frame = self.receive()
        if frame is None:
            raise protocol.ProtocolError("the connection was cut")
        return frame

    def send(self, frame: bytes) -> None:
        """Send a frame whole."""
        view = memoryview(frame)
        while view:
            view = view[os.write(self._target, view) :]

    def send_file(self, path: str, offset: int) -> None:
        """Send a finished job's log from `offset`."""
        with contextlib.suppress(FileNotFoundError), open(path, "rb") as source:
            source.seek(offset)
            while True:
                data = source.read(_BLOCK)
                if not data:
                    return
                self.send(protocol.encode(protocol.LOG, data))

    def relay(self, connection: socket.socket, offset: int) -> Optional[int]:
        """Follow a job from `offset` of its log until its supervisor closes, and say which offset was reached.

        That is not always the log's end: a supervisor may end while we wait for it to answer, or for a slow client.
        None when the client closed.
        """
        incoming = bytearray(protocol.encode_json(protocol.REQUEST, {"offset": offset}))
        with connection:
            self._sort(incoming)
            os.set_blocking(self._target, False)
            connection.setblocking(False)
            try:
                return self._pump(connection, incoming, offset)
            finally:
                os.set_blocking(self._target, True)

    def _pump(self, connection: socket.socket, incoming: bytearray, offset: int) -> Optional[int]:
        """`incoming` goes to the job, what comes from it to the client, with a bound on what is held here."""
        outgoing = bytearray()
        decoder = protocol.Decoder()
        poll = select.poll()
        job = connection.fileno()
        for descriptor in (self._source, self._target, job):
            poll.register(descriptor, 0)
        following = True
        while following or outgoing:
            poll.modify(self._source, select.POLLIN if len(incoming) < _BUFFERED else 0)
            poll.modify(self._target, select.POLLOUT if outgoing else 0)
            if following:
                room = select.POLLIN if len(outgoing) < _BUFFERED else 0
                poll.modify(job, room | (select.POLLOUT if incoming else 0))
            for descriptor, event in poll.poll():
                if descriptor == self._source:
                    if not self._take(incoming):
                        return None
                elif descriptor == job:
                    data = _exchange(connection, event, incoming)
                    offset += _pass_on(decoder.feed(data or b""), outgoing)
                    following = data != b""
                    if not following:
                        poll.unregister(job)
                elif not self._drain(outgoing):
                    return None
        return offset

    def _take(self, incoming: bytearray) -> bool:
        """Read from the client. False when it has closed."""
        try:
            data = os.read(self._source, _BLOCK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self._waiting.extend(self._decoder.feed(data))
        self._sort(incoming)
        return bool(data)

    def _sort(self, incoming: bytearray) -> None:
        """Pass on what is for the job; a request waits until the job is over."""
        others: Deque[protocol.Frame] = deque()
        for kind, payload in self._waiting:
            if kind in _FOR_THE_JOB:
                incoming += protocol.encode(kind, payload)
            else:
                others.append((kind, payload))
        self._waiting = others

    def _drain(self, outgoing: bytearray) -> bool:
        """Write to the client what it takes. False when it has closed."""
        try:
            while outgoing:
                del outgoing[: os.write(self._target, outgoing[:_BLOCK])]
        except BlockingIOError:
            pass
        except OSError:
            return False
        return True


def _pass_on(frames: Iterable[protocol.Frame], outgoing: bytearray) -> int:
    """Add whole frames, since a supervisor can end inside of one. The number of bytes of the log among them."""
    count = 0
    for kind, payload in frames:
        outgoing += protocol.encode(kind, payload)
        count += len(payload) if kind == protocol.LOG else 0
    return count


def _exchange(connection: socket.socket, event: int, incoming: bytearray) -> Optional[bytes]:
    """Move bytes to and from the job: what came, None for nothing yet, b"" when its supervisor has closed."""
    try:
        if event & select.POLLOUT and incoming:
            del incoming[: connection.send(incoming[:_BLOCK])]
    except BlockingIOError:
        pass
    except OSError:
        incoming.clear()  # the job is over; what it wrote before is still to be read
    if not event & (select.POLLIN | select.POLLHUP | select.POLLERR):
        return None
    try:
        return connection.recv(_BLOCK)
    except BlockingIOError:
        return None
    except OSError:
        return b""
