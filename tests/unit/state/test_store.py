"""State files: atomic, versioned, and honest about damage."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from dsenv.errors import StateError
from dsenv.events import Cancel, Cancelled
from dsenv.state import lock, store


def test_what_was_written_is_read(tmp_path: Path) -> None:
    file = tmp_path / "s.json"
    store.write(file, {"a": 1}, version=2)
    assert store.read(file, version=2) == {"a": 1}
    assert file.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["s.json"]


def test_absent_is_none(tmp_path: Path) -> None:
    assert store.read(tmp_path / "s.json", version=1) is None


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"{", "is damaged"),
        (b"\xff", "is damaged"),
        (b"[]", "is not a state file"),
        (b'{"a": 1}', "is not a state file"),
        (json.dumps({"version": 9}).encode(), "written by a newer dsenv"),
    ],
)
def test_damage_is_said_and_nothing_is_lost(tmp_path: Path, content: bytes, expected: str) -> None:
    file = tmp_path / "s.json"
    file.write_bytes(content)
    with pytest.raises(StateError, match=expected):
        store.read(file, version=1)
    assert file.read_bytes() == content


def test_a_failed_write_leaves_the_old_content(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "s.json"
    file.parent.mkdir()
    store.write(file, {"a": 1}, version=1)
    with pytest.raises(StateError, match="cannot write"):
        store.write(tmp_path / "absent" / "s.json", {"a": 2}, version=1)
    assert store.read(file, version=1) == {"a": 1}


def test_one_holder_at_a_time(tmp_path: Path) -> None:
    file = tmp_path / "locks" / "x"
    with lock.exclusive(file, what="x") as waited:
        assert not waited
        with pytest.raises(StateError, match="x is in use"), lock.exclusive(file, what="x", timeout=0.1):
            raise AssertionError
    with lock.exclusive(file, what="x") as waited:
        assert not waited


def test_waiting_for_a_lock_can_be_cancelled(tmp_path: Path) -> None:
    cancel = Cancel()
    cancel.set()
    with (
        lock.exclusive(tmp_path / "x", what="x"),
        pytest.raises(Cancelled),
        lock.exclusive(tmp_path / "x", what="x", cancel=cancel),
    ):
        raise AssertionError
