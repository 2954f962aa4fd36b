"""Programs that lead to a machine: what they say when they do not, and that they end."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from dsenv.errors import TransportError
from dsenv.models.machine import Endpoint
from dsenv.transports.proxy import Proxy
from dsenv.transports.ssh import SshTransport


def _python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-I", "-S", "-c", code)


def _endpoint(*proxy: str) -> Endpoint:
    return Endpoint("box", 22, "me", Path("/nonexistent"), "ssh-ed25519 AAAA", "alias", proxy)


def test_bytes_go_both_ways_and_closing_ends_the_program() -> None:
    proxy = Proxy(_python("import sys; sys.stdout.buffer.write(sys.stdin.buffer.read(5).upper()); sys.stdout.flush(); "
                          "sys.stdin.read()"))  # fmt: skip
    proxy.socket.sendall(b"hello")
    assert proxy.socket.recv(100) == b"HELLO"
    proxy.close()
    proxy.close()
    assert proxy._process.returncode == 0


def test_a_program_that_does_not_end_is_ended() -> None:
    proxy = Proxy(_python("import signal, time; print('up', flush=True); time.sleep(60)"))
    assert proxy.socket.recv(100) == b"up\n"
    begun = time.monotonic()
    proxy.close()
    assert time.monotonic() - begun < 10
    assert proxy._process.returncode is not None


def test_what_the_program_said_is_the_detail() -> None:
    with pytest.raises(TransportError) as caught:
        SshTransport(_endpoint(*_python("import sys; sys.exit('no route to the jump host')")))
    assert caught.value.detail == "no route to the jump host"
    assert "box" in caught.value.message


def test_a_program_that_is_not_there() -> None:
    with pytest.raises(TransportError, match="no-such-way") as caught:
        SshTransport(_endpoint("no-such-way", "x"))
    assert caught.value.hint == "install no-such-way"
