"""A failed run is reproduced on a workstation, by dsenv that goes there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsenv import resources
from tests.integration.test_workstation import answer, dsenv

_JOB = """
def parse(line):
    return int(line.split(",")[1])

print(sum(parse(line) for line in open("data.csv")))
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    root = tmp_path / "proj"
    root.mkdir()
    (root / "dsenv.toml").write_text('[project]\nname = "proj"\n')
    (root / "job.py").write_text(_JOB)
    (root / "data.csv").write_text("a,1\nb,x\n")
    monkeypatch.chdir(root)
    monkeypatch.setenv("DSENV_STORE", str(tmp_path / "store"))
    dsenv("up")
    yield root
    os.chdir(root)
    dsenv("down", "--yes")


@pytest.mark.slow
def test_it_fails_there_and_the_working_tree_is_tried_there(project: Path, tmp_path: Path) -> None:
    capture = ["capture", "--store", str(tmp_path / "store"), "--", sys.executable, "job.py"]
    assert b"ValueError" in dsenv(*capture, code=1).stderr
    (project / "data.csv").unlink()
    there = answer("reproduce", "last", "--on", "default", "--progress", "none")
    assert (there["verdict"], there["observed"]["frame"]["function"]) == ("same-failure", "parse")
    said = dsenv("reproduce", "last", "--on", "default").stdout.decode()
    assert said.startswith("verdict     same-failure")
    (project / "job.py").write_text(_JOB.replace('(",")[1])', '(",")[1], 36)'))
    fixed = answer("reproduce", "last", "--on", "default", "--code", "working-tree", "--progress", "none", code=1)
    assert (fixed["verdict"], fixed["fixed"]) == ("passed", True)
    left = [item for item in Path("/var/tmp").glob("dsenv-record-*") if item.stat().st_uid == os.getuid()]
    assert left == []


def test_what_cannot_be_is_said(project: Path, tmp_path: Path) -> None:
    dsenv("capture", "--store", str(tmp_path / "store"), "--", sys.executable, "job.py", code=1)
    assert b"no workstation called nowhere" in dsenv("reproduce", "last", "--on", "nowhere", code=2).stderr
    assert b"would make a container" in dsenv("reproduce", "last", "--on", "docker", "--dry-run").stdout
    (project / "dsenv.toml").rename(project / "aside.toml")
    assert b"no project here" in dsenv("reproduce", "last", "--on", "default", code=2).stderr
    (project / "aside.toml").rename(project / "dsenv.toml")


def test_the_client_that_goes_there_is_whole(tmp_path: Path) -> None:
    (tmp_path / "client.pyz").write_bytes(resources.client_archive())
    words = [sys.executable, "-I", str(tmp_path / "client.pyz")]
    done = subprocess.run([*words, "runs", "--json", "--store", str(tmp_path)], capture_output=True, check=True)
    assert json.loads(done.stdout)["runs"] == []
    assert b"reproduce" in subprocess.run([*words, "--help"], capture_output=True, check=True).stdout
