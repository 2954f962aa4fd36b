from __future__ import annotations

import os
from pathlib import Path

import pytest

from dsenv import events
from dsenv.sync.client import AgentClient
from dsenv.sync.ignore import Rules, Wanted
from dsenv.sync.manifest import Memory, survey
from dsenv.sync.pull import Pull, Pulled
from dsenv.sync.push import Push
from dsenv.testing.workstation import Workstation


class Both:
    """One project on both sides."""

    def __init__(self, station: Workstation) -> None:
        self.station, self.memory = station, Memory()
        self.here, self.there = station.machine.identity.root, station.tree

    def push(self) -> None:
        local = survey(self.here, Rules(self.here), self.memory)
        with self.station.transport() as transport, AgentClient(transport, self.station.machine) as client:
            Push(client, self.station.machine, local, self.memory).run(None, events.ignore, events.Cancel())

    def pull(self, *patterns: str, cap: int = 1 << 20) -> Pulled:
        wanted = Wanted(patterns or ["outputs/"])
        with self.station.transport() as transport, AgentClient(transport, self.station.machine) as client:
            pull = Pull(client, self.station.machine, self.here, self.memory)
            return pull.run(str(self.there), wanted, events.ignore, events.Cancel(), cap=cap)


@pytest.fixture
def both(station: Workstation) -> Both:
    (station.machine.identity.root / "train.py").write_text("code")
    both = Both(station)
    both.push()
    (both.there / "outputs").mkdir()
    return both


def test_outputs_come_back_once(both: Both) -> None:
    (both.there / "outputs/model").write_bytes(b"m" * 100_000)
    (both.there / "outputs/model").chmod(0o755)
    (both.there / "outputs/latest").symlink_to("model")
    (both.there / "scratch").write_text("not wanted")
    assert both.pull().files == ["outputs/latest", "outputs/model"] or both.pull().files == []
    assert (both.here / "outputs/model").read_bytes() == b"m" * 100_000
    assert (both.here / "outputs/model").stat().st_mode & 0o777 == 0o755
    assert os.readlink(both.here / "outputs/latest") == "model"
    assert not (both.here / "scratch").exists()
    assert both.pull() == Pulled()


def test_what_came_back_does_not_bounce(both: Both) -> None:
    (both.there / "outputs/a").write_text("1")
    both.pull()
    both.push()
    assert "outputs/a" not in both.memory.pushed
    (both.there / "outputs/a").write_text("22")
    assert both.pull().files == ["outputs/a"]
    assert (both.here / "outputs/a").read_text() == "22"


def test_an_output_that_was_pushed_is_brought_back_when_it_changes(both: Both) -> None:
    (both.here / "outputs").mkdir()
    (both.here / "outputs/a").write_text("from here")
    both.push()
    (both.there / "outputs/a").write_text("from there")
    assert both.pull().files == ["outputs/a"]
    assert (both.here / "outputs/a").read_text() == "from there"
    both.push()
    assert (both.there / "outputs/a").read_text() == "from there"


def test_both_changed_both_kept(both: Both) -> None:
    (both.there / "outputs/a.csv").write_text("1")
    both.pull()
    (both.here / "outputs/a.csv").write_text("mine")
    (both.there / "outputs/a.csv").write_text("theirs")
    assert both.pull().both == {"outputs/a.csv": "a.from-default.csv"}
    assert (both.here / "outputs/a.csv").read_text() == "mine"
    assert (both.here / "outputs/a.from-default.csv").read_text() == "theirs"
    (both.there / "outputs/a.csv").write_text("theirs again")
    assert both.pull().both == {"outputs/a.csv": "a.from-default-2.csv"}


def test_a_file_that_is_new_on_both_sides(both: Both) -> None:
    (both.there / "outputs/x").write_text("theirs")
    (both.here / "outputs").mkdir()
    (both.here / "outputs/x").write_text("mine")
    assert list(both.pull().both) == ["outputs/x"]
    (both.there / "outputs/y").write_text("same")
    (both.here / "outputs/y").write_text("same")
    assert both.pull() == Pulled()


def test_what_was_deleted_here_stays_deleted_until_it_changes(both: Both) -> None:
    (both.there / "outputs/a").write_text("1")
    both.pull()
    (both.here / "outputs/a").unlink()
    assert both.pull() == Pulled()
    both.push()
    assert (both.there / "outputs/a").exists()
    (both.there / "outputs/a").write_text("2")
    assert both.pull().files == ["outputs/a"]


def test_sources_are_never_overwritten(both: Both) -> None:
    (both.there / "train.py").write_text("changed by the run")
    assert both.pull().source_changed == ["train.py"]
    assert (both.here / "train.py").read_text() == "code"


def test_large_files_are_named_only(both: Both) -> None:
    (both.there / "outputs/big").write_bytes(b"x" * 2000)
    assert both.pull(cap=1000).too_large == {"outputs/big": 2000}
    assert not (both.here / "outputs/big").exists()
    assert both.pull(cap=2000).files == ["outputs/big"]


def test_nothing_is_written_through_a_link_or_over_a_folder(both: Both, tmp_path: Path) -> None:
    (both.there / "outputs/a").write_text("1")
    (both.there / "outputs/b").write_text("1")
    (tmp_path / "outside").mkdir()
    (both.here / "outputs").symlink_to(tmp_path / "outside")
    assert set(both.pull().refused) == {"outputs/a", "outputs/b"}
    assert list((tmp_path / "outside").iterdir()) == []
    (both.here / "outputs").unlink()
    (both.here / "outputs/a").mkdir(parents=True)
    assert both.pull().refused == {"outputs/a": "it is a folder here"}
    (both.here / "outputs/a").rmdir()
    (both.here / "outputs/b").unlink()
    (both.here / "outputs").rmdir()
    (both.here / "outputs").write_text("a file")
    (both.there / "outputs/c").write_text("1")
    assert both.pull().refused["outputs/c"] == "outputs is a file here"


def test_odd_names_come_back(both: Both) -> None:
    for name in ("a b", "n\nl", "é", "\udcff", "-x"):
        (both.there / "outputs" / name).write_text(name, errors="surrogateescape")
    assert len(both.pull().files) == 5
    assert sorted(os.listdir(both.here / "outputs")) == sorted(os.listdir(both.there / "outputs"))
