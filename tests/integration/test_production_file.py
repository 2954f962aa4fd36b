"""The exported file under every Python that is here: as the one that captures, and as the one that is captured."""

from __future__ import annotations

import os
import subprocess
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
