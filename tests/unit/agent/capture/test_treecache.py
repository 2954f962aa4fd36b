"""A second snapshot reads what changed and nothing else, and is never wrong about it."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dsenv.agent.capture import codetree
from dsenv.agent.schema import Code, Tree
from dsenv.agent.store import open_writer
from dsenv.agent.store.base import blob_key
from dsenv.runs import restore
from dsenv.runs.record import Record
from dsenv.runs.store import open_store
from dsenv.testing.records import RecordBuilder

LONG_AGO = 1_600_000_000_000_000_000


class Project:
    """A project of many files that were last changed long ago, and a store."""

    def __init__(self, folder: Path, files: int = 300) -> None:
        self.root = folder / "app"
        self.store = folder / "store"
        self.root.mkdir()
        for number in range(files):
            (self.root / f"m{number}.py").write_text(f"number = {number}\n" * 20)

    def snapshot(self) -> Code:
        writer = open_writer(str(self.store), {})
        return codetree.snapshot(str(self.root), writer, marked=True, avoid=(), environ=os.environ)

    def tree(self, code: Code) -> Tree:
        assert code["tree"] is not None
        tree: Tree = json.loads((self.store / blob_key(code["tree"])).read_bytes())
        return tree

    def restored(self, code: Code, target: Path) -> dict[str, bytes]:
        """The files that a reader gets back from this snapshot."""
        builder = RecordBuilder(self.store)
        builder.record["code"] = dict(code)
        builder.write()
        shutil.rmtree(target, ignore_errors=True)
        restore.code(Record(open_store(str(self.store)), builder.id), target)
        return contents(target)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    made = Project(tmp_path)
    # Files made a moment ago are "racy": they would be read again. The clock of the snapshot is put ahead instead.
    monkeypatch.setattr(codetree, "now_ns", lambda: time.time_ns() + 3_600_000_000_000)
    return made


def unreadable(root: Path) -> None:
    """Replace every content by other bytes of the same size without telling: whoever reads a file sees it."""
    for file in root.glob("*.py"):
        info = file.stat()
        data = bytearray(file.read_bytes())
        data[0] ^= 1
        file.write_bytes(data)
        os.utime(file, ns=(info.st_atime_ns, info.st_mtime_ns))


def test_an_unchanged_tree_is_the_same_tree(project: Project) -> None:
    first = project.snapshot()
    assert project.snapshot() == first


def test_what_changed_is_read_and_only_its_content_is_stored_again(project: Project, tmp_path: Path) -> None:
    first = project.snapshot()
    (project.root / "m7.py").write_text("changed = True\n")
    (project.root / "m8.py").unlink()
    (project.root / "new.py").write_text("new = True\n")
    second = project.snapshot()
    old, new = set(project.tree(first)["packs"]), set(project.tree(second)["packs"])
    assert old < new
    (added,) = new - old
    assert (project.store / blob_key(added)).stat().st_size < 400
    assert project.restored(second, tmp_path / "back") == contents(project.root)


def test_a_touched_file_is_read_again(project: Project) -> None:
    """The change time gives away what kept its size and modification time."""
    first = project.snapshot()
    unreadable(project.root)
    second = project.snapshot()
    assert first["tree"] != second["tree"]


def test_a_store_that_lost_a_pack_gets_everything_again(project: Project, tmp_path: Path) -> None:
    first = project.snapshot()
    for pack in project.tree(first)["packs"]:
        (project.store / blob_key(pack)).unlink()
    assert project.restored(project.snapshot(), tmp_path / "back") == contents(project.root)


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b'{"format": 1}', b'{"format": 1, "saved_ns": 1, "files": 3, "packs": []}']
)
def test_a_damaged_cache_is_an_empty_one(project: Project, isolation: Path, damage: bytes, tmp_path: Path) -> None:
    project.snapshot()
    (file,) = (isolation / ".cache/dsenv/trees").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_bytes(damage)
    assert project.restored(project.snapshot(), tmp_path / "back") == contents(project.root)


def test_a_cache_folder_that_cannot_be_written_is_no_trouble(project: Project, isolation: Path) -> None:
    (isolation / ".cache").mkdir()
    (isolation / ".cache/dsenv").write_text("a file")
    assert project.snapshot()["files"] == 300


def test_small_projects_keep_no_cache(tmp_path: Path, isolation: Path) -> None:
    Project(tmp_path, files=3).snapshot()
    assert not (isolation / ".cache/dsenv").exists()


def test_a_scattered_tree_is_packed_anew(project: Project, tmp_path: Path) -> None:
    for number in range(codetree._MAX_PACKS + 4):
        (project.root / "m0.py").write_text(f"round = {number}\n")
        (project.root / f"extra{number}.py").write_text(f"extra = {number}\n" * 3)
        code = project.snapshot()
    assert len(project.tree(code)["packs"]) < codetree._MAX_PACKS
    assert project.restored(code, tmp_path / "back") == contents(project.root)


EDITS = st.lists(st.tuples(st.integers(0, 5), st.binary(max_size=40) | st.none()), max_size=8)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(EDITS, min_size=1, max_size=4))
def test_any_edits_are_seen(project: Project, tmp_path: Path, rounds: list[list[tuple[int, bytes | None]]]) -> None:
    for edits in rounds:
        for number, data in edits:
            file = project.root / f"m{number}.py"
            if data is None:
                file.unlink(missing_ok=True)
            else:
                file.write_bytes(data)
        code = project.snapshot()
        assert project.restored(code, tmp_path / "back") == contents(project.root)
