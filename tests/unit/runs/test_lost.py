"""What is presumed of runs whose record was never completed."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from dsenv import wording
from dsenv.errors import RecordError
from dsenv.runs import index
from dsenv.runs.record import Record
from dsenv.runs.store import open_store
from dsenv.testing.records import RecordBuilder
from dsenv.workflows import show

LONG_AGO = time.time_ns() // 1000 - 3_600_000_000
FRAME = {"file": "/srv/app/train.py", "function": "load", "line": 2, "user": True, "first_line": 1}
SOURCE = ["def load():", "    rows.append(bytearray(1 << 20))"]


def entry(why: str, when: int, **facts: Any) -> dict[str, Any]:
    stack = {"pid": 7, "thread": "MainThread", "frames": [FRAME | {"source": SOURCE}]}
    return {"when": when, "why": why, "stacks": [stack], **facts}


@pytest.fixture
def builder(tmp_path: Path) -> RecordBuilder:
    (tmp_path / "store").mkdir()
    made = RecordBuilder(tmp_path / "store")
    made.status = "running"
    return made


def lose(builder: RecordBuilder, entries: list[dict[str, Any]], *, beat: int = LONG_AGO, **started: Any) -> Record:
    builder.write()
    (builder.folder / "heartbeat").write_text(str(beat))
    (builder.folder / "blackbox.jsonl").write_text("".join(json.dumps(item) + "\n" for item in entries))
    file = builder.folder / "started.json"
    known = {"code": builder.record["code"], **started}
    file.write_text(json.dumps(json.loads(file.read_text()) | known))
    return Record(open_store(str(builder.store)), builder.id)


def near(share: float, when: int = LONG_AGO - 3_000_000) -> dict[str, Any]:
    return entry("memory", when, share=share, memory=int(share * (1 << 30)), limit=1 << 30)


@pytest.mark.parametrize(
    ("entries", "started", "expected"),
    [
        ([], {}, ("SIGKILL", "lost")),
        ([near(0.8), near(0.9)], {}, ("SIGKILL", "out-of-memory")),
        ([near(0.8, LONG_AGO - 60_000_000)], {}, ("SIGKILL", "lost")),  # it lived on for a minute
        ([near(0.98, LONG_AGO - 60_000_000)], {}, ("SIGKILL", "out-of-memory")),
        ([near(0.98), entry("SIGTERM", LONG_AGO)], {}, ("SIGTERM", None)),
        ([entry("time-out", LONG_AGO)], {"kill_after": 10.0}, ("SIGTERM", "time-out")),
        ([entry("time-out", LONG_AGO - 20_000_000)], {"kill_after": 10.0}, ("SIGKILL", "time-out")),
    ],
)
def test_the_last_moment_says_how_it_ended(
    builder: RecordBuilder, entries: list[dict[str, Any]], started: dict[str, Any], expected: tuple[str, str | None]
) -> None:
    record = lose(builder, entries, **started)
    found = record.data["signature"]
    assert record.status == "lost"
    assert found is not None and (found["signal"], found["cause"]) == expected
    assert found["presumed"] is True
    (listed,) = index.newest(record.store)
    assert listed.signature is not None and listed.signature["cause"] == found["cause"]


def test_where_it_was_is_the_failures_place(builder: RecordBuilder) -> None:
    record = lose(builder, [near(0.8), near(0.98)])
    found = record.data["signature"]
    assert found is not None and found["frame"] is not None
    assert (found["frame"]["file"], found["frame"]["line_text"]) == ("train.py", SOURCE[1].strip())
    details = show.details(record)
    assert details.failure is not None and details.failure["how"] == "memory"
    assert [moment["share"] for moment in details.black_box] == [0.8, 0.98]
    assert details.to_json()["run"]["signature"]["presumed"] is True
    assert wording.reason(record.summary()) == "lost: presumably SIGKILL (out-of-memory)"
    assert wording.moment(details.to_json()["black_box"][0], "/srv/app") == "train.py:2 in load"


def test_a_run_of_which_nothing_is_known_is_called_lost(builder: RecordBuilder) -> None:
    record = lose(builder, [])
    assert record.frames()["failures"] == []
    assert wording.reason(record.summary()) == "lost: no word from it since"


def test_the_list_reads_the_end_of_a_large_black_box(builder: RecordBuilder, monkeypatch: pytest.MonkeyPatch) -> None:
    early = [near(0.8) | {"padding": "x" * 300_000} for _ in range(5)]
    record = lose(builder, [*early, entry("SIGTERM", LONG_AGO)])
    read: list[str] = []
    whole = record.store.read

    def noted(key: str, *, limit: int) -> bytes | None:
        read.append(key)
        return whole(key, limit=limit)

    monkeypatch.setattr(record.store, "read", noted)
    (listed,) = index.newest(record.store)
    assert listed.signature is not None and listed.signature["signal"] == "SIGTERM"
    assert not [key for key in read if key.endswith("blackbox.jsonl")]


@pytest.mark.parametrize("damage", [b"{", b'{"stacks": 7}\n', b'{"why": [], "when": "x"}\n'])
def test_a_damaged_black_box_is_refused_and_hides_no_run(builder: RecordBuilder, damage: bytes) -> None:
    lose(builder, [])
    (builder.folder / "blackbox.jsonl").write_bytes(damage)
    store = open_store(str(builder.store))
    with pytest.raises(RecordError):
        Record(store, builder.id)
    assert [run.status for run in index.newest(store)] == ["lost"]
