"""The system's ssh without any server: its words, its marks, and what is no host."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from dsenv import events
from dsenv.config.schema import Workstation
from dsenv.errors import HostKeyError, ProviderError, StateError, TransportError
from dsenv.models.machine import Identity
from dsenv.providers.base import Spec
from dsenv.providers.ssh import memory
from dsenv.providers.ssh.memory import Memory
from dsenv.providers.ssh.provider import SshProvider
from dsenv.transports import openssh
from dsenv.transports.openssh import OpenSshTransport, explain
from dsenv.transports.sshprocess import MARK, Unmarked


@pytest.mark.parametrize(
    ("words", "said", "hint"),
    [
        ("box: Permission denied (publickey).", "without a question", "ssh-add"),
        ("ssh: Could not resolve hostname box: Name or service not known", "there is no host box", "dsenv.toml"),
        ("No ED25519 host key is known for box and you have requested strict checking.\r\n"
         "Host key verification failed.", "not known here", "ssh box true"),
        ("ssh: connect to host box port 22: Connection refused", "Connection refused", "ssh box true"),
        ("", "the connection was cut", "ssh box true"),
    ],
)  # fmt: skip
def test_last_words(words: str, said: str, hint: str) -> None:
    error = explain("box", words)
    assert said in error.message
    assert "box" in error.message
    assert error.hint is not None
    assert hint in error.hint
    assert not isinstance(error, HostKeyError)


def test_another_host_key_is_an_error_of_its_own() -> None:
    words = "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed."
    error = explain("box", words)
    assert isinstance(error, HostKeyError)
    assert error.hint is not None
    assert "ssh-keygen -R box" in error.hint


@pytest.mark.parametrize("size", [1, 2, 5, 100])
@pytest.mark.parametrize("before", [b"", b"text", MARK[:4], b"\x1e"])
def test_a_mark_is_found_however_it_is_cut(size: int, before: bytes) -> None:
    data, stream, seen = before + MARK + b"after", Unmarked(), bytearray()
    for start in range(0, len(data), size):
        seen += stream.feed(data[start : start + size])
    seen += stream.rest()
    assert (bytes(seen), stream.seen) == (before + b"after", True)


def test_what_only_begins_like_a_mark_comes_through() -> None:
    stream = Unmarked()
    assert stream.feed(b"x" + MARK[:-1]) == b"x"
    assert stream.rest() == MARK[:-1]
    assert not stream.seen


@pytest.mark.parametrize("host", ["-oProxyCommand=touch /tmp/x", "a b", "a\nb"])
def test_what_is_no_host(host: str, tmp_path: Path) -> None:
    spec = Spec(Identity(tmp_path, "proj", "default"), Workstation(provider="ssh", host=host))
    with pytest.raises(ProviderError, match="no name of a host"):
        SshProvider().create(spec, events.ignore)


def test_a_machine_without_ssh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (problem,) = SshProvider().check()
    assert "there is no ssh" in problem.message
    with pytest.raises(TransportError, match="there is no ssh"):
        OpenSshTransport("box")


def test_a_socket_whose_path_would_be_too_long_is_done_without(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        monkeypatch.setenv("XDG_RUNTIME_DIR", short)
        assert len(openssh._control("box", master="auto")) == 6
    long = tmp_path / ("x" * 80)
    long.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(long))
    assert openssh._control("box", master="auto") == []


def test_memory(tmp_path: Path) -> None:
    identity = Identity(tmp_path / "caf\udce9", "proj", "default")
    assert memory.read(identity) is None
    saved = Memory(identity, "box", 5, "/home/x", "/usr/bin/python3")
    saved.write()
    assert memory.read(identity) == saved
    assert memory.everything() == [saved]
    memory._file(identity).write_text('{"version": 1, "host": "box"}')
    with pytest.raises(StateError, match="damaged"):
        memory.read(identity)
    memory.forget(identity)
    memory.forget(identity)
    assert memory.read(identity) is None
    assert SshProvider().find(identity) is None
    assert SshProvider().machines() == []
