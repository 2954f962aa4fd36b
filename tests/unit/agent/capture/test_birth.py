"""What the command made is told from what it found."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from dsenv.agent.capture import birth, codetree


@pytest.fixture
def known(tmp_path: Path) -> Path:
    if birth.birth_ns(str(tmp_path)) is None:
        pytest.skip("this file system does not know when files were made")
    return tmp_path


def tick() -> int:
    """A moment with the clock's ticks of file systems well before and after it."""
    time.sleep(0.05)
    now = time.time_ns()
    time.sleep(0.05)
    return now


def test_birth_is_not_change(known: Path) -> None:
    old = known / "old"
    old.write_text("1")
    since = tick()
    old.write_text("changed")
    (known / "new").write_text("2")
    assert not birth.made_since(str(old), old.stat(), since)
    assert birth.made_since(str(known / "new"), (known / "new").stat(), since)
    assert not birth.made_since(str(known / "new"), (known / "new").stat(), None)


def test_what_is_not_there_or_not_known_is_not_new(tmp_path: Path) -> None:
    assert birth.birth_ns(str(tmp_path / "absent")) is None
    assert not birth.made_since("/proc/self/status", os.stat("/proc/self/status"), 1)


@pytest.mark.parametrize("git", [True, False])
def test_the_tree_is_as_the_command_found_it(known: Path, git: bool) -> None:
    root = known / "app"
    for folder in ("outputs/kept", "logs", "data", "src"):
        (root / folder).mkdir(parents=True)
    (root / "src/a.py").write_text("a")
    (root / "data/big.csv").write_text("rows")
    if git:
        subprocess.run(["git", "init", "-q", root], check=True)
        (root / ".gitignore").write_text("outputs/\nlogs/\ndata/\n")
    since = tick()
    (root / "logs/today.log").write_text("made by the command")
    (root / "made").mkdir()
    (root / "src/a.py").write_text("changed by the command")
    found = codetree.find(str(root), marked=True, avoid=(), since_ns=since)
    names = {"src/a.py", ".gitignore"} if git else {"src/a.py", "data/big.csv"}
    assert set(found.files) == names
    # What git ignores is not kept, but the folders that the command could write into are.
    assert set(found.folders) == ({"outputs/kept", "logs", "data"} if git else {"outputs/kept", "logs"})
