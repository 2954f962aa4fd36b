"""What goes, what stays, and what an interrupted prune leaves."""

from __future__ import annotations

import itertools
import json
import os
import time
from pathlib import Path

import pytest

from dsenv.agent.store import Writer, open_writer
from dsenv.agent.store.base import UNREFERENCED_SECONDS, blob_key
from dsenv.errors import UsageError
from dsenv.events import Cancel, Cancelled, Progress, StepFinished, ignore
from dsenv.runs import index, keys, restore
from dsenv.runs.record import Record
from dsenv.runs.retention import Rules
from dsenv.runs.store.folder import FolderStore
from dsenv.testing.records import RecordBuilder
from dsenv.workflows import when
from dsenv.workflows.prune import Pruned, prune, rules

OLD = time.time() - UNREFERENCED_SECONDS - 60


def run_id(day: int, number: int = 0) -> str:
    return f"202603{day:02}T1015{number:02}-000001-abcd"


def made(store: Path, name: str, status: str = "failed", *, own: bytes = b"") -> RecordBuilder:
    """A run with an input of its own, when one is given, and one that all share."""
    builder = RecordBuilder(store, name)
    builder.status = status
    builder.record |= {"status": status, "exit": 0 if status == "succeeded" else 1, "started": keys.started(name)}
    builder.inputs = [
        {"path": f"/data/{number}", "size": len(data), "blob": builder.blob(data)}
        for number, data in enumerate((own or name.encode(), b"shared by all"))
    ]
    builder.write()
    return builder


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Runs of five days, one succeeded and one failed a day, all blobs long there."""
    folder = tmp_path / "store"
    for day in range(1, 6):
        made(folder, run_id(day, 0), "succeeded")
        made(folder, run_id(day, 1), "failed")
    age(folder)
    return folder


def age(store: Path) -> None:
    for file in (store / "blobs").rglob("*"):
        os.utime(file, (OLD, OLD))


def pruned(store: Path, given: Rules, *, dry_run: bool = False) -> Pruned:
    return prune(str(store), given, dry_run=dry_run, emit=ignore, cancel=Cancel())


def listed(store: Path) -> list[str]:
    return [run.id for run in index.newest(FolderStore(store))]


def blobs(store: Path) -> set[str]:
    return {item.key.rpartition("/")[2] for item in FolderStore(store).everything("blobs/")}


def before(day: int) -> int:
    return keys.started(run_id(day))


def whole(store: Path) -> None:
    """Everything that is listed can be read to the last byte, and nothing lies beside it."""
    opened = FolderStore(store)
    names = listed(store)
    for name in names:
        restore.verify(Record(opened, name))
    assert {item.key.split("/")[4] for item in opened.everything("runs/")} == set(names)


def test_by_age_with_the_blobs_that_only_they_used(store: Path) -> None:
    held = blobs(store)
    result = pruned(store, Rules(before=before(3)))
    assert result.runs == [run_id(1, 0), run_id(1, 1), run_id(2, 0), run_id(2, 1)]
    assert (result.kept, result.blobs) == (6, 4)
    assert listed(store) == [run_id(day, n) for day, n in itertools.product((5, 4, 3), (1, 0))]
    assert len(held) - len(blobs(store)) == 4
    whole(store)
    again = pruned(store, Rules(before=before(3)))
    assert (again.runs, again.blobs, again.bytes) == ([], 0, 0)


def test_a_dry_run_says_the_same_and_does_nothing(store: Path) -> None:
    there = sorted(item.key for item in FolderStore(store).everything("runs/"))
    foreseen = pruned(store, Rules(before=before(3)), dry_run=True)
    assert sorted(item.key for item in FolderStore(store).everything("runs/")) == there
    done = pruned(store, Rules(before=before(3)))
    assert (foreseen.runs, foreseen.blobs, foreseen.bytes) == (done.runs, done.blobs, done.bytes)


def test_by_status(store: Path) -> None:
    pruned(store, Rules(before=before(9), statuses=frozenset({"succeeded"})))
    assert listed(store) == [run_id(day, 1) for day in (5, 4, 3, 2, 1)]
    whole(store)


def test_by_size_the_oldest_go_first(store: Path) -> None:
    size = sum(item.size for top in ("runs/", "index/", "blobs/") for item in FolderStore(store).everything(top))
    result = pruned(store, Rules(max_bytes=size * 6 // 10))
    assert result.runs == [run_id(day, n) for day in range(1, 6) for n in (0, 1)][: len(result.runs)]
    assert 3 <= len(result.runs) <= 5
    left = sum(item.size for top in ("runs/", "index/", "blobs/") for item in FolderStore(store).everything(top))
    assert left <= size * 6 // 10
    whole(store)


def test_what_may_still_be_written_is_not_collected(store: Path) -> None:
    young = RecordBuilder(store).blob(b"a record that refers to it is on its way")
    lost = RecordBuilder(store).blob(b"nothing refers to it")
    os.utime(store / blob_key(lost), (OLD, OLD))
    result = pruned(store, Rules(before=before(1)))
    assert (result.runs, result.blobs) == ([], 1)
    assert young in blobs(store) and lost not in blobs(store)


def test_a_writer_that_refers_to_an_old_blob_keeps_it(store: Path) -> None:
    digest = RecordBuilder(store).blob(b"old and not referred to")
    os.utime(store / blob_key(digest), (OLD, OLD))
    assert open_writer(str(store), {}).claim(blob_key(digest))
    assert pruned(store, Rules(before=before(1))).blobs == 0
    assert digest in blobs(store)


def test_a_blob_that_is_claimed_between_looking_and_deleting_stays(store: Path) -> None:
    digest = RecordBuilder(store).blob(b"claimed in the last moment")
    os.utime(store / blob_key(digest), (OLD, OLD))

    def claim(event: object) -> None:
        if isinstance(event, StepFinished) and event.step == "references":
            open_writer(str(store), {}).claim(blob_key(digest))

    prune(str(store), Rules(before=before(1)), emit=claim, cancel=Cancel())
    assert digest in blobs(store)


def test_a_run_that_lives_stays_and_one_that_was_lost_is_settled(store: Path) -> None:
    living, dead = made(store, run_id(2, 7), "running"), made(store, run_id(2, 8), "running")
    (dead.folder / "heartbeat").write_text("1772360100000000")
    pruned(store, Rules(before=before(2)))
    statuses = {run.id: run.status for run in index.newest(FolderStore(store))}
    assert (statuses[living.id], statuses[dead.id]) == ("running", "lost")
    assert not (store / keys.index(dead.day, "running", dead.id)).exists()
    result = pruned(store, Rules(before=before(9), statuses=frozenset({"lost"})))
    assert result.runs == [dead.id]
    assert living.id in listed(store)


def test_while_a_record_cannot_be_read_no_blob_goes(store: Path) -> None:
    (RecordBuilder(store, run_id(5, 1)).folder / "inputs.jsonl").write_text("{cut o")
    result = pruned(store, Rules(before=before(3)))
    assert (len(result.runs), result.blobs, result.unreadable) == (4, 0, [run_id(5, 1)])


def test_an_interrupted_prune_is_ended_by_the_next(store: Path) -> None:
    for moment in range(1, 6):
        cancel = Cancel()
        steps = itertools.count(1)

        def stop(event: object, cancel: Cancel = cancel, steps: itertools.count[int] = steps, at: int = moment) -> None:
            if not isinstance(event, Progress) and next(steps) == at:
                cancel.set()

        with pytest.raises(Cancelled):
            prune(str(store), Rules(before=before(3)), emit=stop, cancel=cancel)
    # As a kill between the index and the files leaves it:
    (store / keys.index("2026/03/01", "failed", run_id(1, 1))).unlink(missing_ok=True)
    assert run_id(1, 1) not in listed(store)
    pruned(store, Rules(before=before(3)))
    whole(store)
    assert len(listed(store)) == 6


def test_runs_that_lie_in_pages_go_too(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    writer: Writer = open_writer(str(folder), {})
    for number in range(60):
        name = run_id(1, number)
        writer.put(keys.index("2026/03/01", "succeeded", name), json.dumps({"id": name}).encode())
    for number in range(60):
        name = f"20260301T1016{number:02}-000001-abcd"
        writer.put(keys.index("2026/03/01", "succeeded", name), json.dumps({"id": name}).encode())
    pruned(folder, Rules(before=before(1)))
    assert [name[:4] for name in writer.names("index/2026/03/01/succeeded/")] == ["page"]
    assert len(listed(folder)) == 120
    pruned(folder, Rules(before=keys.started("20260301T101600-000001-abcd")))
    assert len(listed(folder)) == 60
    assert min(listed(folder)) == "20260301T101600-000001-abcd"


def test_rules_as_people_type_them() -> None:
    given = rules(before=None, max_size="1.5GB", statuses=["lost"])
    assert (given.max_bytes, given.statuses) == (1_500_000_000, frozenset({"lost"}))
    for size in ("", "many", "-5GB", "5 elephants"):
        with pytest.raises(UsageError):
            rules(before=None, max_size=size, statuses=[])
    with pytest.raises(UsageError, match="running"):
        rules(before=1, max_size=None, statuses=["running"])


def test_times_as_people_type_them() -> None:
    now = 1_772_360_100.0
    assert when.parse("30d", now) == int((now - 30 * 86_400) * 1e6)
    assert when.parse("90m", now) == int((now - 5400) * 1e6)
    assert when.parse("2026-03-01T10:15:00+00:00", now) == 1_772_360_100_000_000
    for text in ("", "yesterday", "30", "d", "2026-13-01"):
        with pytest.raises(UsageError, match="is no time"):
            when.parse(text, now)
