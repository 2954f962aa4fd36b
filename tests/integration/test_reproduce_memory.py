"""A run that the kernel killed for want of memory is killed again, and then says where it was."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dsenv.agent.replay import cgroup
from dsenv.cli.commands.reproduce import _result_lines
from dsenv.events import Cancel, ignore
from dsenv.runs.index import newest
from dsenv.runs.store import open_store
from dsenv.workflows import reproduce as workflow
from dsenv.workflows.reproduce.means import means
from dsenv.workflows.reproduce.model import Reproduction
from tests.measuring import unmeasured

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        sys.platform != "linux" or not cgroup.available("memory"), reason="production needs a control group"
    ),
]

WITHIN = Path(__file__).parents[1] / "zoo" / "within.py"
GROW = """
import sys
def load(size):
    rows = []
    while True:
        rows.append({grown})
load(int(sys.argv[1]) << 20)
"""
ALLOCATORS = {
    "bytes": 'bytearray(b"x" * size)',
    "numpy": '__import__("numpy").ones(size, dtype="u1")',
}


def produce(folder: Path, program: str, *argv: str, limit: int = 400) -> None:
    """Run a program in a container with `limit` megabytes; its machine is gone afterwards."""
    root = folder / "production"
    root.mkdir()
    (root / "job.py").write_text(program)
    capture = ["-m", "dsenv.agent", "capture", "--store", str(folder / "store"), "--", sys.executable, "job.py", *argv]
    environ = unmeasured()
    subprocess.run(
        [sys.executable, str(WITHIN), str(limit << 20), sys.executable, *capture],
        cwd=root,
        env=environ | {"PYTHONPATH": os.fspath(Path(__file__).parents[2])},
        capture_output=True,
        check=False,
        timeout=60,
    )
    shutil.rmtree(root)


def again(folder: Path, by: str, kill: str = "") -> Reproduction:
    (run,) = newest(open_store(str(folder / "store")))
    record = workflow.open_record(run.id, str(folder / "store"))
    if kill:
        record.data["fingerprint"]["limits"]["memory_kill"] = kill
    options = workflow.Options(available=dataclasses.replace(means(), memory=by))
    result = workflow.reproduce(record, options, emit=ignore, cancel=Cancel())
    assert not abandoned()
    return result


def abandoned() -> list[str]:
    """Control groups whose maker is gone; other tests have theirs."""
    names = [name for place in cgroup.places("memory") for name in os.listdir(place.folder)]
    owned = [name for name in names if name.startswith(cgroup.PREFIX)]
    return [name for name in owned if not Path("/proc", name.removeprefix(cgroup.PREFIX)).exists()]


@pytest.mark.parametrize("by", ["cgroup", "watch"])
@pytest.mark.parametrize("step", [5, 50, 150])
@pytest.mark.parametrize("allocator", sorted(ALLOCATORS))
def test_a_mute_kill_becomes_a_traceback(allocator: str, step: int, by: str, tmp_path: Path) -> None:
    if allocator == "numpy":
        pytest.importorskip("numpy")
    grown = ALLOCATORS[allocator]
    produce(tmp_path, GROW.replace("{grown}", grown), str(step))
    result = again(tmp_path, by)
    assert result.verdict == "same-failure", (result.reason, result.recorded, result.observed)
    assert result.recorded is not None and result.recorded["cause"] == "out-of-memory"
    assert result.explained_by is not None and result.frames is not None
    frame = result.explained_by.signature["frame"]
    assert frame is not None
    assert (frame["file"], frame["function"], frame["line_text"]) == ("job.py", "load", f"rows.append({grown})")
    lines = list(_result_lines(result))
    assert f"explained   it ran out of memory at job.py:6, in load: rows.append({grown})" in lines
    primary = result.frames["primary"]
    assert primary is not None
    (error,) = result.frames["failures"][primary]["exceptions"]
    inner = next(frame for frame in reversed(error["frames"]) if frame.get("user"))
    (found,) = [item for item in inner["locals"] if item["name"] == "rows"]
    assert found["length"] >= 1


WORKERS = """
import multiprocessing, os, sys
def work(number):
    blocks = []
    for _ in range(8 if number else 1000):
        blocks.append(bytearray(b"x" * (5 << 20)))
    return len(blocks)
if __name__ == "__main__":
    children = [multiprocessing.Process(target=work, args=(number,)) for number in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    codes = sorted(child.exitcode for child in children)
    print(codes, flush=True)
    if any(codes):
        sys.exit(3)
"""


@pytest.mark.parametrize("by", ["cgroup", "watch"])
def test_one_worker_is_killed_where_one_was_and_all_where_all_were(by: str, tmp_path: Path) -> None:
    produce(tmp_path, WORKERS)
    one = again(tmp_path, by)
    assert (one.verdict, one.exit) == ("same-failure", 3)
    assert one.explained_by is not None and one.explained_by.signature["frame"] is not None
    assert one.explained_by.signature["frame"]["function"] == "work"
    every = again(tmp_path, by, kill="group")
    assert every.verdict == "different-failure" and every.observed is not None
    assert (every.observed["signal"], every.observed["cause"]) == ("SIGKILL", "out-of-memory")


def test_more_memory_than_there_is_here_is_said(tmp_path: Path) -> None:
    produce(tmp_path, "raise ValueError('small')")
    (run,) = newest(open_store(str(tmp_path / "store")))
    record = workflow.open_record(run.id, str(tmp_path / "store"))
    record.data["fingerprint"]["limits"]["memory_limit"] = 1 << 50
    made = workflow.plan(record)
    (note,) = [item.note for item in made.not_restored if item.what == "limits"]
    assert "1125899.9 GB there" in note and "workstation" in note
    record.data["fingerprint"]["limits"]["memory_limit"] = 1 << 29
    nobody = workflow.Options(available=dataclasses.replace(means(), memory=""))
    assert [item.note for item in workflow.plan(record, nobody).not_restored if item.what == "limits"] == [
        "537 MB in its control group; this system lets nobody impose or watch that: use Linux"
    ]
