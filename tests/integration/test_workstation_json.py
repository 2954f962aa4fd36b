"""`--json` of the commands whose stdout is else a run's own: one document there, and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

DSENV = [sys.executable, "-m", "dsenv"]
_NOISE = ["sh", "-c", r"echo out; echo err >&2; printf '\377'; exit 3"]


def dsenv(*words: str, code: int = 0) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run([*DSENV, *words], stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    assert done.returncode == code, (done.returncode, done.stdout[-2000:], done.stderr[-2000:])
    return done


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    root = tmp_path / "proj"
    root.mkdir()
    (root / "dsenv.toml").write_text('[project]\nname = "proj"\n[workstations.default]\nserver = "builtin"\n')
    monkeypatch.chdir(root)
    dsenv("up")
    yield root
    os.chdir(root)
    dsenv("down")


def _document(done: subprocess.CompletedProcess[bytes]) -> Any:
    return json.loads(done.stdout)


def test_every_command_that_shows_a_run_has_one_document(project: Path) -> None:
    job = dsenv("run", "-d", "--", *_NOISE).stdout.decode().strip()
    followed = _document(dsenv("logs", "--json", "-f", job))
    expected = {"status": "done", "exit": 3, "signal": None}
    assert followed == {"id": job, "command": _NOISE, **expected, "stdout": "out\n\ufffd", "stderr": "err\n"}
    assert _document(dsenv("logs", "--json")) == followed

    attached = dsenv("attach", "--json", job, code=3)
    document = _document(attached)
    assert (document["id"], document["exit"], document["outputs"]["files"]) == (job, 3, [])
    assert b"out\n\xff" in attached.stderr
    assert b"err\n" in attached.stderr


def test_the_log_of_a_run_that_goes_on_says_so(project: Path) -> None:
    job = dsenv("run", "-d", "--", "sleep", "60").stdout.decode().strip()
    document = _document(dsenv("logs", "--json", job))
    assert (document["status"], document["exit"], document["stdout"]) == ("running", None, "")
    dsenv("cancel", job)


def test_a_command_over_ssh(project: Path) -> None:
    done = dsenv("ssh", "--json", "--progress=none", "--", *_NOISE, code=3)
    assert _document(done) == {
        "workstation": "default", "command": _NOISE, "status": "done", "exit": 3, "signal": None,
    }  # fmt: skip
    assert b"out\n" in done.stderr
    assert b"err\n" in done.stderr
    assert b"not for a shell" in dsenv("ssh", "--json", code=2).stderr
