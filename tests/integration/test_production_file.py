"""The exported file under every Python that is here: as the one that captures, and as the one that is captured."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dsenv.agent import interpreters
from dsenv.runs import index
from dsenv.runs.record import Record
from dsenv.runs.store.folder import FolderStore
from dsenv.workflows.agent import export

MINORS = ("3.9", "3.10", "3.11", "3.12", "3.13")

PROGRAM = """
import json, logging, multiprocessing, pathlib, sqlite3, subprocess, tempfile, threading


def read(path):
    return json.loads(pathlib.Path(path).read_text())["rows"]


with tempfile.NamedTemporaryFile() as file:
    file.write(b"x")
read("table.json")
"""


def interpreter(minor: str) -> str:
    found = interpreters.find(minor, os.environ)
    if found is None:
        pytest.skip(f"there is no Python {minor} here")
    return found[0]


@pytest.mark.parametrize(("ours", "theirs"), [(m, m) for m in MINORS] + [("3.9", "3.13"), ("3.13", "3.9")])
def test_every_python_captures_every_python(ours: str, theirs: str, tmp_path: Path) -> None:
    file = export(tmp_path / "dsenv.pyz").path
    (tmp_path / "table.json").write_text("{}")
    (tmp_path / "job.py").write_text(PROGRAM)
    command = [interpreter(theirs), "job.py"]
    bare = subprocess.run(command, check=False, capture_output=True, cwd=tmp_path)
    words = [interpreter(ours), "-I", "-S", str(file), "capture", "--store", str(tmp_path / "store"), "--", *command]
    done = subprocess.run(words, check=False, capture_output=True, cwd=tmp_path, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (1, bare.stdout, bare.stderr)
    store = FolderStore(tmp_path / "store")
    (run,) = index.newest(store)
    record = Record(store, run.id)
    assert record.data["trouble"] == []
    assert run.signature is not None and run.signature["frame"] is not None
    assert (run.signature["type"], run.signature["frame"]["function"]) == ("KeyError", "read")
    python = record.data["environment"]["python"]
    assert python["version"].startswith(theirs + ".")
    assert [os.path.basename(item["path"]) for item in record.inputs()] == ["table.json"]


@pytest.mark.parametrize("minor", MINORS)
def test_the_file_may_be_replaced_while_it_runs(minor: str, tmp_path: Path) -> None:
    file = export(tmp_path / "dsenv.pyz").path
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    program = "import sys; open(sys.argv[1]).read(); raise KeyError('late')"
    words = [interpreter(minor), "-I", "-S", str(file), "capture", "--store", str(tmp_path / "store"), "--"]
    with subprocess.Popen(
        [*words, sys.executable, "-c", program, str(gate)], stderr=subprocess.PIPE, cwd=tmp_path
    ) as process:
        with open(gate, "w"):  # opens when the program reads
            _wait_for(tmp_path / "store", "heartbeat")
            file.with_name("other").write_bytes(b"another version\n" * 1000)
            os.replace(file.with_name("other"), file)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said.count(b"Traceback")) == (1, 1)
    (run,) = index.newest(FolderStore(tmp_path / "store"))
    assert run.signature is not None and run.signature["type"] == "KeyError"


def _wait_for(store: Path, name: str) -> None:
    """Until the record is on its way, and has its environment."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = [path for path in store.glob("runs/*/*/*/*/started.json") if (path.parent / name).exists()]
        if found and "fingerprint" in found[0].read_text():
            return
        os.sched_yield()
    raise AssertionError("nothing is recorded")


@pytest.mark.parametrize("minor", MINORS)
def test_it_needs_no_home_no_path_no_locale_and_no_temporary_folder(minor: str, tmp_path: Path) -> None:
    folder = tmp_path / "with spaces"
    folder.mkdir()
    file = export(folder / "ds env.pyz").path
    (tmp_path / "link.pyz").symlink_to(file)
    (folder / "in put.txt").write_text("x")
    (folder / "job.py").write_text("import random\nrandom.random()\nopen('in put.txt').read()\n{}['rows']\n")
    python = interpreter(minor)
    words = [python, "-I", "-S", str(tmp_path / "link.pyz"), "capture", "--record-entropy", "--input", "in put.txt"]
    environ = {"HOME": "/proc", "LANG": "C", "LC_ALL": "C", "TMPDIR": "/nonexistent"}
    commands = ([python, "job.py"], [python, "job.py"], ["/no/such"])
    running = [
        subprocess.Popen(
            [*words, "--store", "store", "--", *command], cwd=folder, env=environ, stderr=subprocess.DEVNULL
        )
        for command in commands
    ]
    assert [process.wait(60) for process in running] == [1, 1, 127]
    store = FolderStore(folder / "store")
    records = [Record(store, run.id) for run in index.newest(store)]
    assert [record.data["trouble"] for record in records] == [[], [], []]
    read = [{item["path"] for item in record.inputs()} for record in records if "job.py" in record.data["command"]]
    assert len(read) == 2
    assert all(str(folder / "in put.txt") in paths for paths in read)
