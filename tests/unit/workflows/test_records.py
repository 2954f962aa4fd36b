"""The record of a run on a workstation comes home, whole, once, and only from where it is asked for."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from dsenv import events
from dsenv.agent import runid
from dsenv.errors import DsenvError
from dsenv.events import Cancel, Event, Notice
from dsenv.models.machine import Machine
from dsenv.providers.base import Spec
from dsenv.runs import index, restore
from dsenv.runs.record import Record
from dsenv.runs.store.folder import FolderStore
from dsenv.sync.client import AgentClient
from dsenv.testing.fake import FakeProvider
from dsenv.workflows import records
from dsenv.workflows.target import Target
from tests.measuring import measuring
from tests.unit.workflows.conftest import Make


class There:
    """A workstation on which a program has failed, and the store at home."""

    def __init__(self, target: Target, fake: FakeProvider, home: Path) -> None:
        self.target, self.home = target, home
        self.machine: Machine = fake.create(Spec(target.identity, target.settings), events.ignore)
        self.transport = fake.transport(self.machine)
        self.events: list[Event] = []

    def fail(self) -> str:
        run = runid.new()
        tree = Path(self.machine.tree)
        tree.mkdir(exist_ok=True)
        (tree / "job.py").write_text("value = open('data').read()\nraise LookupError(value)\n")
        (tree / "data").write_text("content\n")
        store = records.store_there(self.target, self.machine)
        words = [sys.executable, "-m", "dsenv.agent", "capture", "--store", store, "--run-id", run, "--root", str(tree)]
        done = self.transport.run(["sh", "-c", 'cd proj && exec "$@"', "sh", *words, "--", sys.executable, "job.py"])
        assert done.code == 1, done.stderr
        return run

    def bring(self, run: str) -> None:
        with AgentClient(self.transport, self.machine) as client:
            records.bring(client, self.target, self.machine, run, emit=self.events.append, cancel=Cancel())

    @property
    def warnings(self) -> list[str]:
        return [event.message for event in self.events if isinstance(event, Notice)]


@pytest.fixture
def there(make_target: Make, fake: FakeProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> There:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    for name in measuring():
        monkeypatch.delenv(name)  # its files would be inputs of the program
    home = tmp_path / "store"
    target = make_target()
    (target.project.root / "dsenv.toml").write_text(f'[project]\nname = "proj"\n[runs]\nstore = "{home}"\n')
    return There(make_target(), fake, home)


def test_it_is_whole_and_comes_once(there: There) -> None:
    run = there.fail()
    there.bring(run)
    assert there.warnings == []
    store = FolderStore(there.home)
    assert [item.id for item in index.newest(store)] == [run]
    record = Record(store, run)
    assert record.complete
    assert restore.verify(record) > 0
    assert [Path(item["path"]).name for item in record.inputs() if item.get("blob")] == ["data"]
    before = {file: file.stat().st_ino for file in there.home.rglob("*") if file.is_file() and "blobs" in file.parts}
    there.bring(run)
    assert {file: file.stat().st_ino for file in before} == before
    assert [name for name in os.listdir(there.home) if name.startswith(".dsenv")] == []


def test_what_is_not_there_is_told(there: There) -> None:
    run = runid.new()
    there.bring(run)
    assert there.warnings == [
        f"the record was not brought home: there is no record of {run} on default; next: dsenv pull --run {run}"
    ]


def test_a_store_that_both_reach_is_left(there: There) -> None:
    (there.target.project.root / "dsenv.toml").write_text('[project]\nname = "proj"\n[runs]\nstore = "s3://a/b"\n')
    assert records.store_at_home(there.target, there.machine) == str(there.home)
    with pytest.raises(DsenvError):
        FolderStore(there.home).read("../x", limit=1)
