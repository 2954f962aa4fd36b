"""The demo does the whole loop, and says so as text and as data."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from dsenv.workflows.demo import BROKEN, explanation


@pytest.mark.slow
@pytest.mark.network
def test_the_demo(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dsenv", "demo", "--json", "--progress", "json"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    document = json.loads(done.stdout)
    assert document["done"] and document["seconds"] < 90
    assert (document["verdict"], document["fixed"]) == ("same-failure", "passed")
    assert document["frame"].startswith("predict.py:") and "class_3" in document["local"]
    assert document["metric"] > 0.5
    names = [step["name"] for step in document["steps"]]
    assert names == ["init", "lock", "up", "run", "deploy", "capture", "runs", "reproduce", "show", "fix", "fixed"]
    finished = [json.loads(line) for line in done.stderr.splitlines() if line.startswith('{"event": "step-finished"')]
    assert [event["step"] for event in finished] == names
    assert list(tmp_path.iterdir()) == []


def test_the_fix_fits_the_template() -> None:
    from dsenv import resources

    assert BROKEN in resources.template("wine").joinpath("predict.py").read_text()


def test_the_explanation_comes_from_the_users_deepest_frame() -> None:
    frames = [
        {"file": "/a/main.py", "line": 3, "function": "main", "user": True, "locals": []},
        {
            "file": "/a/p.py",
            "line": 9,
            "function": "score",
            "user": True,
            "locals": [{"name": "seen", "preview": "{1}"}],
        },
        {"file": "/lib/x.py", "line": 1, "function": "f", "user": False},
    ]
    shown = {"failures": [{"exceptions": [{"frames": frames}]}], "primary": 0}
    assert explanation(shown) == ("p.py:9 in score", "seen = {1}")
