"""Every transport against the one suite: this machine, the system's sshd, our own server."""

from __future__ import annotations

import dataclasses
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from dsenv import events
from dsenv.config.schema import Workstation
from dsenv.errors import TransportError
from dsenv.models.machine import Identity
from dsenv.providers.base import Spec
from dsenv.providers.local import sshd
from dsenv.providers.local.provider import LocalProvider
from dsenv.testing.transports import TransportConformance
from dsenv.transports.base import Pty, Transport
from dsenv.transports.local import LocalTransport
from dsenv.transports.ssh import SshTransport


class TestLocalTransport(TransportConformance):
    @pytest.fixture
    def transport(self, tmp_path: Path) -> Iterator[Transport]:
        with LocalTransport(tmp_path) as transport:
            yield transport


def _connected(root: Path, server: Literal["sshd", "builtin"]) -> Iterator[Transport]:
    provider = LocalProvider()
    machine = provider.create(Spec(Identity(root, "conformance", "default"), Workstation(server=server)), events.ignore)
    try:
        assert machine.note == ("sshd" if server == "sshd" else "built-in server")
        with provider.transport(machine) as transport:
            yield transport
    finally:
        provider.destroy(machine, events.ignore)


@pytest.mark.skipif(sshd.find() is None, reason="there is no sshd on this machine")
class TestSshd(TransportConformance):
    @pytest.fixture
    def transport(self, tmp_path: Path) -> Iterator[Transport]:
        yield from _connected(tmp_path, "sshd")

    @pytest.fixture
    def makes_terminals(self, transport: Transport) -> bool:
        """An sshd that is not root's makes none where /dev/pts does not give them to the tty group."""
        try:
            with transport.open_channel(["true"], pty=Pty("dumb", 80, 24)) as channel:
                return channel.wait() == 0 or os.getuid() == 0
        except TransportError:
            return os.getuid() == 0


class TestOwnServer(TransportConformance):
    @pytest.fixture
    def transport(self, tmp_path: Path) -> Iterator[Transport]:
        yield from _connected(tmp_path, "builtin")


_WAY = """
import socket, sys, threading
there = socket.create_connection((sys.argv[1], int(sys.argv[2])))
def back():
    while data := there.recv(1 << 16):
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    sys.stdout.close()
threading.Thread(target=back, daemon=True).start()
while data := sys.stdin.buffer.read1(1 << 16):
    there.sendall(data)
there.shutdown(socket.SHUT_RDWR)
"""


@pytest.mark.slow
class TestThroughAProgram(TransportConformance):
    """Our own server, reached by the standard input and output of a program, as behind a jump host."""

    @pytest.fixture
    def transport(self, tmp_path: Path) -> Iterator[Transport]:
        provider = LocalProvider()
        identity = Identity(tmp_path, "conformance", "default")
        machine = provider.create(Spec(identity, Workstation(server="builtin")), events.ignore)
        try:
            assert machine.endpoint
            here = machine.endpoint
            way = (sys.executable, "-I", "-S", "-c", _WAY, here.host, str(here.port))
            with SshTransport(dataclasses.replace(here, host="nowhere.invalid", port=1, proxy=way)) as transport:
                yield transport
        finally:
            provider.destroy(machine, events.ignore)


def test_the_suite_covers_the_whole_interface() -> None:
    names = " ".join(dir(TransportConformance))
    assert shutil.which("sh")
    for part in ("exit_code", "input", "files", "conversation", "terminal", "forwarded", "closing"):
        assert part in names
