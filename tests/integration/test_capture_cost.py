"""What capture costs, as far as it can be told on a busy machine: what it loads, what it makes, and the benchmark."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dsenv.agent.capture.spool import Spool
from dsenv.workflows.agent import export

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "capture_cost.py"
# Each takes milliseconds to load, and nothing that a trivial command needs is in them.
DEAR = {"asyncio", "dsenv.agent.schema", "email", "hashlib", "http", "importlib.metadata", "inspect", "ipaddress"}
DEAR |= {"random", "ssl", "subprocess", "sysconfig", "tempfile", "urllib.parse", "zipfile", "dsenv.agent.store.s3"}


def test_a_trivial_command_loads_nothing_dear(tmp_path: Path) -> None:
    words = [sys.executable, "-X", "importtime", "-I", "-S", str(export(tmp_path / "dsenv.pyz").path)]
    done = subprocess.run(
        [*words, "capture", "--store", "store", "--", "true"], check=True, capture_output=True, text=True, cwd=tmp_path
    )
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "dsenv.agent.capture.keeper" in loaded
    assert loaded & DEAR == set()


def test_few_files_are_made_before_the_command_starts(tmp_path: Path) -> None:
    spool = Spool.make({"TMPDIR": str(tmp_path)}, None)
    spool.fill({})
    assert sum(len(files) + len(folders) for _, folders, files in os.walk(spool.folder)) <= 15


@pytest.mark.slow
def test_the_benchmark_measures_and_judges() -> None:
    words = [sys.executable, str(BENCHMARK), "--only", "start-up", "--repeat", "3", "--json", "--check"]
    done = subprocess.run([*words, "--slack", "20"], check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)
    assert found["exceeded"] == []
    assert [row["what"] for row in found["rows"]] == ["start-up"]
    assert found["capture_mb"] < 40
    strict = subprocess.run([*words, "--slack", "0.01"], check=False, capture_output=True, text=True)
    assert strict.returncode == 1
    assert len(json.loads(strict.stdout)["exceeded"]) == 2
