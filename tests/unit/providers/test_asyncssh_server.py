"""Our own server in this process, so that each of its lines is seen, against the suite of transports."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsenv.models.machine import Endpoint
from dsenv.providers import keys
from dsenv.providers.local import asyncssh_server, server
from dsenv.providers.local.layout import Layout, current_user
from dsenv.testing.transports import TransportConformance
from dsenv.transports.base import Pty, Transport
from dsenv.transports.ssh import SshTransport


def children() -> set[int]:
    """The processes that this one started and has not seen end."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[1]) == os.getpid():
                found.add(int(stat.parent.name))
    return found


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[Endpoint]:
    layout = Layout(tmp_path)
    layout.home.mkdir()
    host_key = keys.ensure(layout.host_key)
    (tmp_path / "authorized_keys").write_text(keys.ensure(layout.client_key) + "\n")
    port = server.free_port()
    others_children = children()
    loops: list[asyncio.AbstractEventLoop] = []
    done = asyncio.Event()

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        task = asyncio.create_task(asyncssh_server.serve(layout, port))
        await done.wait()
        # As with sshd, a command outlives its channel; here nothing may outlive the test.
        for child in children() - others_children:
            os.kill(child, signal.SIGKILL)
        # The loop must see each of them end before it ends itself, else their pipes are left open.
        for _ in range(200):
            await asyncio.sleep(0.05)
            if not children() - others_children:
                break
        await asyncio.sleep(0.2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for other in others:
            other.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0.1)

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    while not server.answers(port):
        assert thread.is_alive()
    yield Endpoint("127.0.0.1", port, current_user(), layout.client_key, host_key, "dsenv-test")
    loops[0].call_soon_threadsafe(done.set)
    thread.join(10)


class TestAsServer(TransportConformance):
    @pytest.fixture
    def transport(self, endpoint: Endpoint) -> Iterator[Transport]:
        with SshTransport(endpoint) as transport:
            yield transport


def test_a_shell(endpoint: Endpoint) -> None:
    with SshTransport(endpoint) as transport, transport.open_channel(["cat"], pty=Pty("dumb", 80, 24)) as channel:
        channel.send(b"typed\r")
        output = b""
        while output.count(b"typed") < 2:
            output += channel.receive()
        channel.send(b"\x04")
        while channel.receive():
            pass
        assert channel.wait() == 0
