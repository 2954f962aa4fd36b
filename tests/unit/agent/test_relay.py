"""Between a client and a job's supervisor, with real sockets and pipes."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsenv.agent import protocol
from dsenv.agent.relay import Link


class Ends:
    """A link, and the far ends of its three connections."""

    def __init__(self) -> None:
        source, self.to_agent = os.pipe()
        self.from_agent, target = os.pipe()
        self.supervisor, self.connection = socket.socketpair()
        self._link_ends = [source, target]
        self.link = Link(source, target)
        self.reached: int | None = -1

    def relay(self, offset: int = 0) -> threading.Thread:
        def follow() -> None:
            self.reached = self.link.relay(self.connection, offset)

        thread = threading.Thread(target=follow)
        thread.start()
        return thread

    def sent(self) -> list[protocol.Frame]:
        """What the client has been sent, once the link's side is closed."""
        os.close(self._link_ends.pop())
        with open(self.from_agent, "rb", closefd=False) as stream:
            return list(protocol.Decoder().feed(stream.read()))

    def close(self) -> None:
        self.supervisor.close()
        self.connection.close()
        for descriptor in (self.to_agent, self.from_agent, *self._link_ends):
            os.close(descriptor)


@pytest.fixture
def ends() -> Iterator[Ends]:
    made = Ends()
    yield made
    made.close()


def test_a_supervisor_that_ends_before_it_answers_leaves_the_log_to_be_sent(ends: Ends, tmp_path: Path) -> None:
    ends.supervisor.close()
    ends.relay(offset=3).join(10)
    assert ends.reached == 3
    (tmp_path / "log").write_bytes(b"gonrest")
    ends.link.send_file(str(tmp_path / "log"), 3)
    assert ends.sent() == [(protocol.LOG, b"rest")]


def test_whole_frames_are_passed_on_and_counted(ends: Ends) -> None:
    following = ends.relay(offset=10)
    cut = protocol.encode(protocol.LOG, b"never whole")[:-4]
    ends.supervisor.sendall(protocol.encode(protocol.ACK, b"a" * 16) + protocol.encode(protocol.LOG, b"12345") + cut)
    ends.supervisor.shutdown(socket.SHUT_WR)
    following.join(10)
    assert ends.reached == 15
    assert ends.sent() == [(protocol.ACK, b"a" * 16), (protocol.LOG, b"12345")]


def test_input_reaches_the_job_and_a_request_waits(ends: Ends) -> None:
    window = protocol.encode_json(protocol.WINDOW, {"rows": 1})
    request = protocol.encode_json(protocol.REQUEST, {"op": "jobs"})
    os.write(ends.to_agent, request + window)
    following = ends.relay()
    decoder, received = protocol.Decoder(), list[protocol.Frame]()
    while len(received) < 2:
        received += decoder.feed(ends.supervisor.recv(1000))
    assert [kind for kind, _ in received] == [protocol.REQUEST, protocol.WINDOW]
    assert protocol.decode_json(received[0][1]) == {"offset": 0}
    ends.supervisor.close()
    following.join(10)
    waiting = ends.link.receive()
    assert waiting is not None
    assert protocol.decode_json(waiting[1]) == {"op": "jobs"}


def test_a_client_that_leaves_ends_it(ends: Ends) -> None:
    following = ends.relay()
    os.close(ends.to_agent)
    following.join(10)
    assert ends.reached is None
    ends.to_agent = os.dup(0)


def test_a_cut_inside_a_frame_is_an_error(ends: Ends) -> None:
    os.write(ends.to_agent, protocol.encode_json(protocol.REQUEST, {"op": "jobs"})[:-1])
    os.close(ends.to_agent)
    ends.to_agent = os.dup(0)
    with pytest.raises(protocol.ProtocolError, match="cut"):
        ends.link.receive()
