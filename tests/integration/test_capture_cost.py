"""What capture costs, as far as it can be told on a busy machine: what it loads, what it makes, and the benchmark."""

from __future__ import annotations

import json
import marshal
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from dsenv.agent.capture.spool import Spool
from dsenv.workflows.agent import export

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "capture_cost.py"
# Each takes milliseconds to load, and nothing that a trivial command needs is in them.
DEAR = {"asyncio", "dsenv.agent.schema", "email", "hashlib", "http", "importlib.metadata", "inspect", "ipaddress"}
DEAR |= {"random", "ssl", "subprocess", "sysconfig", "tempfile", "urllib.parse", "zipfile", "dsenv.agent.store.s3"}
DEAR |= {"base64", "copy", "dataclasses", "json", "pathlib", "platform", "selectors", "signal", "typing", "weakref"}
# These are needed, but not before the command was started.
LATER = {"ctypes", "enum", "re", "select", "threading", "dsenv.agent.capture.keeper", "dsenv.agent.redact"}
AT_START = """
import sys
from dsenv.agent.capture import command
def start(*given):
    print(*sys.modules, flush=True)  # then the command is run in our place
    raise OSError
command.spawn.start = start
command.main(sys.argv[2:])
"""

# At its end the standard streams are closed, so a file is written.
TO_THE_END = """
import os, sys, zipimport
leave = os._exit
def tell(code):
    with open("loaded", "w") as file:
        print(*sys.modules, file=file)
    leave(code)
os._exit = tell
del sys.argv[0]
sys.path.insert(0, sys.argv[0])
spec = zipimport.zipimporter(sys.argv[0]).find_spec("__main__")
exec(spec.loader.get_code("__main__"), {"__name__": "__main__", "__spec__": spec})
"""


@pytest.fixture
def archive(tmp_path: Path) -> str:
    return str(export(tmp_path / "dsenv.pyz").path)


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Without the variables of whoever tests: a secret among them is looked for in all forms that it may have."""
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8"}
    words = (sys.executable, "-I", "-S", *words)
    return subprocess.run(words, check=False, capture_output=True, text=True, cwd=folder, env=environ)


def test_a_trivial_command_loads_nothing_dear(tmp_path: Path, archive: str) -> None:
    run(tmp_path, "-c", TO_THE_END, archive, "capture", "--store", "store", "--", "true")
    loaded = set((tmp_path / "loaded").read_text().split())
    assert "dsenv.agent.capture.keeper" in loaded
    assert loaded & DEAR == set()
    # One by one they take zipimport three times as long.
    with zipfile.ZipFile(archive) as members:
        bundled = set(marshal.loads(members.read(f"bundle.{sys.implementation.cache_tag}")[4:]))
    assert {name for name in loaded if name.partition(".")[0] == "dsenv"} <= bundled


def test_the_command_starts_before_most_is_loaded(tmp_path: Path, archive: str) -> None:
    done = run(tmp_path, "-c", f"import sys; sys.path.insert(0, sys.argv[1]){AT_START}", archive, "--", "true")
    loaded = set(done.stdout.splitlines()[0].split())
    assert "dsenv.agent.capture.spool" in loaded
    assert loaded & (DEAR | LATER) == set()


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
