"""One store that many use at once: captures that write, a prune that deletes, a reader that lists."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from dsenv.agent.store.base import UNREFERENCED_SECONDS
from dsenv.events import Cancel, ignore
from dsenv.runs import restore
from dsenv.runs.index import newest
from dsenv.runs.record import Record
from dsenv.runs.retention import Rules
from dsenv.runs.store.folder import FolderStore
from dsenv.workflows.prune import prune


def start(project: Path, store: Path, number: int) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "dsenv.agent", "capture", "--store", str(store), "--"]
    program = [sys.executable, "job.py", str(number)]
    return subprocess.Popen([*words, *program], cwd=project, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def made(folder: Path) -> Path:
    project = folder / "app"
    project.mkdir()
    (project / "pyproject.toml").write_text("")
    (project / "rows.csv").write_text("1\n" * 1000)
    (project / "job.py").write_text(
        "import sys\nrows = open('rows.csv').read()\nprint('x' * 5000)\nraise ValueError(sys.argv[1])\n"
    )
    return project


def test_ten_captures_at_once_into_one_store(tmp_path: Path) -> None:
    project, store = made(tmp_path), tmp_path / "store"
    processes = [start(project, store, number) for number in range(10)]
    assert [process.wait(60) for process in processes] == [1] * 10
    opened = FolderStore(store)
    records = [Record(opened, run.id) for run in newest(opened)]
    assert len(records) == 10
    for record in records:
        restore.verify(record)
        assert record.data["trouble"] == []
        assert sum(len(chunk.data) for chunk in record.output() if chunk.stream == "stdout") == 5001
    messages = {record.frames()["failures"][0]["exceptions"][0]["message"] for record in records}
    assert messages == {str(number) for number in range(10)}
    assert len({record.data["code"]["tree"] for record in records}) == 1


def test_a_prune_beside_captures_takes_nothing_that_they_refer_to(tmp_path: Path) -> None:
    """Their blobs are there since long, and nothing refers to them but the records that are on their way."""
    project, store = made(tmp_path), tmp_path / "store"
    assert start(project, store, 0).wait(60) == 1
    opened = FolderStore(store)
    for turn in range(3):
        for run in newest(opened):
            opened.delete(item.key for item in opened.everything(f"runs/{run.id[:4]}/"))
        long_ago = time.time() - UNREFERENCED_SECONDS - 60
        for file in (store / "blobs").rglob("*"):
            os.utime(file, (long_ago, long_ago))
        processes = [start(project, store, number) for number in range(4)]
        while any(process.poll() is None for process in processes):
            prune(str(store), Rules(before=0), emit=ignore, cancel=Cancel())
        records = [
            Record(opened, item.key.split("/")[4]) for item in opened.everything("runs/") if "record" in item.key
        ]
        assert len(records) == 4, turn
        for record in records:
            assert record.data["trouble"] == []
            restore.verify(record)
