from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest

from dsenv import events
from dsenv.agent import protocol, records, tree
from dsenv.errors import StateError, TransportError
from dsenv.sync.client import RefusedError
from dsenv.sync.ignore import Rules
from dsenv.sync.manifest import Memory, survey
from dsenv.sync.push import Push, Pushed
from dsenv.testing.workstation import Workstation

Content = dict[str, tuple[str, int, bytes]]


def content(root: Path) -> Content:
    """A folder as values, whatever its names are."""
    found: Content = {}
    for item in tree.scan(str(root), lambda *_: True).found:
        full = os.path.join(root, item.path)
        data = (
            b"" if item.kind == "d" else os.fsencode(os.readlink(full)) if item.kind == "l" else Path(full).read_bytes()
        )
        found[item.path] = (item.kind, item.mode, data)
    return found


def push(station: Workstation, memory: Memory, job: str | None = None, *, force: bool = False) -> Pushed:
    local = survey(station.machine.identity.root, Rules(station.machine.identity.root), memory)
    with station.transport() as transport:
        from dsenv.sync.client import AgentClient

        with AgentClient(transport, station.machine) as client:
            return Push(client, station.machine, local, memory).run(job, events.ignore, events.Cancel(), force=force)


def _edit(root: Path, dice: random.Random) -> None:
    """One random change: write, rewrite, chmod, delete, rename, link, make or remove folders."""
    files = [path for path in root.rglob("*") if path.is_symlink() or path.is_file()]
    folders = [root, *(path for path in root.rglob("*") if path.is_dir() and not path.is_symlink())]
    name = dice.choice(["a", "b c", "d\nx", "é", "\udcff", "-n", "UP", "up", ".hid"])
    target = dice.choice(folders) / name
    action = dice.choice(["write", "write", "write", "delete", "rename", "chmod", "link", "mkdir", "rmtree"])
    if action == "write" and not target.is_dir():
        target.unlink(missing_ok=True)
        target.write_bytes(dice.randbytes(dice.choice([0, 1, 100, 70_000])))
    elif action == "delete" and files:
        dice.choice(files).unlink()
    elif action == "rename" and files and not os.path.lexists(target):
        dice.choice(files).rename(target)
    elif action == "chmod" and files:
        chosen = dice.choice(files)
        if not chosen.is_symlink():
            chosen.chmod(dice.choice([0o644, 0o755, 0o600]))
    elif action == "link" and not os.path.lexists(target):
        target.symlink_to(dice.choice(["a", "../x", "/nowhere", "d\nx"]))
    elif action == "mkdir" and not os.path.lexists(target):
        target.mkdir()
    elif action == "rmtree" and len(folders) > 1:
        shutil.rmtree(dice.choice(folders[1:]), ignore_errors=True)


@pytest.mark.parametrize("seed", range(4))
def test_both_trees_are_equal_after_any_edits(station: Workstation, seed: int) -> None:
    here, dice, memory = station.machine.identity.root, random.Random(seed), Memory()
    for _ in range(6):
        for _ in range(dice.randrange(12)):
            _edit(here, dice)
        push(station, memory)
        assert content(station.tree) == content(here)


def test_nothing_is_sent_when_nothing_changed(station: Workstation) -> None:
    (station.machine.identity.root / "a").write_text("x" * 1000)
    memory = Memory()
    assert push(station, memory).sent == 1
    again = push(station, memory)
    assert (again.sent, again.bytes, again.deleted) == (0, 0, 0)


def test_what_is_remembered_may_be_lost_or_wrong(station: Workstation, tmp_path: Path) -> None:
    here = station.machine.identity.root
    (here / "a").write_text("1")
    (here / "b").write_text("2")
    push(station, Memory())
    (here / "b").unlink()
    (here / "c").write_text("3")
    assert push(station, Memory()).sent == 1
    assert content(station.tree) == content(here)
    wrong = Memory(pushed={"zzz": tree.Entry("f", 0o644, "00")})
    push(station, wrong)
    assert content(station.tree) == content(here)


def test_memory_survives_the_disk(station: Workstation, tmp_path: Path) -> None:
    (station.machine.identity.root / "a\udcff").write_text("1")
    memory = Memory(pulled={"out": "aa"})
    push(station, memory)
    memory.write(tmp_path / "deep" / "sync.json")
    again = Memory.read(tmp_path / "deep" / "sync.json")
    assert (again.pushed, again.pulled) == (memory.pushed, memory.pulled)
    for damage in (b"", b"[]", b'{"version": 99}', b'{"version": 1, "cache": 3}'):
        (tmp_path / "deep" / "sync.json").write_bytes(damage)
        assert Memory.read(tmp_path / "deep" / "sync.json").pushed == {}


def test_edits_over_there_are_mirrored_away_but_not_lost(station: Workstation) -> None:
    here = station.machine.identity.root
    (here / "code.py").write_text("mine")
    memory = Memory()
    push(station, memory)
    (station.tree / "code.py").write_text("hacked over there")
    (station.tree / "result").write_text("made over there")
    pushed = push(station, memory)
    assert pushed.displaced == ["code.py"]
    assert (station.tree / "code.py").read_text() == "mine"
    assert (station.tree / "result").read_text() == "made over there"
    assert Path(pushed.kept, "code.py").read_text() == "hacked over there"


def test_a_cut_connection_leaves_the_old_tree(station: Workstation) -> None:
    here = station.machine.identity.root
    (here / "a").write_text("old")
    memory = Memory()
    push(station, memory)
    with station.agent() as client:
        base = tree.generation(memory.pushed)
        client.request("sync", tree="proj", base=base, job=None, force=False)
        record = records.pack(records.Header("f", "a", 0o644, 0, 3)) + b"new"
        client.send(records.compress(iter([record])))
    (here / "a").write_text("newer")
    assert content(station.tree)["a"][2] == b"old"
    assert push(station, memory).sent == 1
    assert content(station.tree)["a"][2] == b"newer"
    assert not (station.home / ".dsenv/trees/proj/stage").exists()


def test_a_batch_whose_sum_is_wrong_is_a_cut_conversation(station: Workstation) -> None:
    with station.agent() as client:
        client.request("sync", tree="proj", base=tree.generation({}), job=None)
        client.send([protocol.encode_json(protocol.END, {"generation": "f" * 32})])
        with pytest.raises(TransportError, match="agent"):
            client.answer()


def test_nothing_runs_after_a_sync_that_was_refused(station: Workstation) -> None:
    with station.agent() as client:
        client.request("sync", tree="proj", base="0" * 31 + "1", job="j")
        client.send([protocol.encode_json(protocol.END, {"generation": "0" * 32})])
        client.request("run", job="j", argv=["touch", "ran"])
        assert client.answer_with_json()[0]["mismatch"]
        with pytest.raises(RefusedError, match="nothing was run") as caught:
            client.answer()
        assert caught.value.code == "not-synced"
    assert not (station.tree / "ran").exists()
    assert not (station.home / ".dsenv/jobs").exists()


def test_a_folder_with_results_is_not_replaced_by_a_file(station: Workstation) -> None:
    here = station.machine.identity.root
    (station.tree / "out").mkdir(parents=True)
    (station.tree / "out/result").write_text("mine")
    (here / "out").write_text("a file")
    with pytest.raises(StateError, match="out is a folder here, with out/result"):
        push(station, Memory())
    assert (station.tree / "out/result").read_text() == "mine"


@pytest.mark.parametrize("name", ["../escape", "/abs", "..", ""])
def test_a_tree_has_a_plain_name(station: Workstation, name: str) -> None:
    with station.agent() as client:
        client.request("sync", tree=name, base=tree.generation({}))
        client.send([protocol.encode_json(protocol.END, {"generation": tree.generation({})})])
        with pytest.raises(RefusedError):
            client.answer()


def test_requests_that_no_agent_knows(station: Workstation) -> None:
    with station.agent() as client:
        client.request("dance")
        with pytest.raises(RefusedError, match="dance"):
            client.answer()
        client.request("run")
        with pytest.raises(RefusedError):
            client.answer()
        client.request("jobs")
        assert client.answer() == {"jobs": []}
