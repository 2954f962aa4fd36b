"""What is kept of a command that may not come to an end, while it runs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dsenv.agent.capture import record
from dsenv.agent.capture.checkpoint import Checkpoint
from dsenv.agent.capture.spool import Spool
from dsenv.agent.store import open_writer
from dsenv.agent.store.folder import FolderWriter
from tests.integration.capturing import eventually

RUN = "20260102T030405-000000-abcd"
FOLDER = f"store/runs/2026/01/02/{RUN}"


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool.make({}, str(tmp_path))
    made.fill({})
    yield made
    made.remove()


def tell(spool: Spool, event: dict[str, Any]) -> None:
    with open(spool.events_file, "a", encoding="ascii") as file:
        file.write(json.dumps(event) + "\n")


def read_input(spool: Spool, name: str, content: bytes) -> None:
    Path(spool.copies, name).write_bytes(content)
    facts = {"e": "input", "path": f"/data/{name}", "size": len(content), "copy": name, "when": 1, "pid": 7}
    tell(spool, facts)


def lines(tmp_path: Path, name: str) -> list[dict[str, Any]]:
    file = tmp_path / FOLDER / name
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def test_inputs_and_draws_are_there_while_the_command_runs(spool: Spool, tmp_path: Path) -> None:
    tell(spool, {"e": "draw", "process": "0", "source": "random", "n": 0, "value": "ab"})
    read_input(spool, "large", b"x" * (2 << 20))
    read_input(spool, "small", b"1,2")
    outside = [{"path": "/data/native", "how": "native", "size": 0, "mtime_ns": 1}]
    writer = open_writer(str(tmp_path / "store"), {})
    checkpoint = Checkpoint(spool, writer, RUN, lambda known: [] if "/data/native" in known else outside)
    checkpoint.add({"when": 1, "why": "memory", "share": 0.8})
    eventually(lambda: sum("blob" in item for item in lines(tmp_path, "inputs.jsonl")) == 3)
    assert [item["path"] for item in lines(tmp_path, "inputs.jsonl")] == ["/data/large", "/data/small", "/data/native"]
    assert [item["value"] for item in lines(tmp_path, "random.jsonl")] == ["ab"]
    read_input(spool, "later", b"3")
    checkpoint.add({"when": 2, "why": "SIGTERM"})
    eventually(lambda: len(lines(tmp_path, "inputs.jsonl")) == 4)
    checkpoint.close()
    told = record.gather(spool.events())
    final, trouble = record.store_inputs(told.inputs, spool.copies, writer, checkpoint.kept)
    assert trouble == [] and ["blob" in item for item in final] == [True, True, True]


def test_a_stream_that_is_still_read_is_left_for_the_end(spool: Spool, tmp_path: Path) -> None:
    Path(spool.copies, "stream").write_bytes(b"half")
    facts = {"path": "s3://a/b", "size": 8, "copy": "stream", "call": "GetObject {}", "when": 1, "pid": 7}
    tell(spool, {"e": "input", **facts})
    checkpoint = Checkpoint(spool, open_writer(str(tmp_path / "store"), {}), RUN, lambda known: [])
    checkpoint.add({"when": 1, "why": "SIGTERM"})
    eventually(lambda: bool(lines(tmp_path, "inputs.jsonl")))
    checkpoint.close()
    assert "blob" not in lines(tmp_path, "inputs.jsonl")[0]
    assert Path(spool.copies, "stream").read_bytes() == b"half"


class Slow(FolderWriter):
    """A store to which nothing large can be written."""

    def blob_file(self, path: str, digest: str) -> None:
        if os.path.getsize(path) > 1 << 20:
            raise OSError("it is full")
        super().blob_file(path, digest)


def test_small_inputs_come_first_and_the_others_say_that_they_are_missing(spool: Spool, tmp_path: Path) -> None:
    read_input(spool, "large", b"x" * (2 << 20))
    read_input(spool, "small", b"1,2")
    checkpoint = Checkpoint(spool, Slow(str(tmp_path / "store")), RUN, lambda known: [])
    checkpoint.add({"when": 1, "why": "time-out"})
    eventually(lambda: bool(lines(tmp_path, "inputs.jsonl")))
    checkpoint.close()
    found = {item["path"]: item for item in lines(tmp_path, "inputs.jsonl")}
    assert "blob" in found["/data/small"]
    assert found["/data/large"]["note"] == "not kept yet when this was written"


def test_nothing_is_begun_where_memory_is_nearly_full(spool: Spool, tmp_path: Path) -> None:
    read_input(spool, "small", b"1,2")
    checkpoint = Checkpoint(spool, open_writer(str(tmp_path / "store"), {}), RUN, lambda known: [])
    checkpoint.add({"when": 1, "why": "memory", "share": 0.95})
    assert not checkpoint.is_alive()
    checkpoint.close()
    checkpoint.add({"when": 2, "why": "SIGTERM"})
    assert not checkpoint.is_alive() and not lines(tmp_path, "inputs.jsonl")
