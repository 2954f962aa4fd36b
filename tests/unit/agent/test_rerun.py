"""`agent replay PLAN` from the source tree: what a plan asks for is what the command gets, and what the report says."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from dsenv.agent import runid
from dsenv.agent.replay import cgroup, memory, namespace, overlay
from dsenv.agent.rerun import NOT_PREPARED
from dsenv.runs.record import Record
from dsenv.runs.store.folder import FolderStore

_RUN = runid.new()
_SAY = (
    "import json, os, resource; print(json.dumps({'cwd': os.getcwd(), 'x': os.environ.get('X'),"
    "'umask': os.umask(0), 'cpus': len(os.sched_getaffinity(0)), 'files': resource.getrlimit(resource.RLIMIT_NOFILE)}))"
)


class Rerun:
    """A plan, and what came of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.report = folder / "report.json"
        (folder / "work").mkdir()

    def plan(self, program: str, **changes: Any) -> dict[str, Any]:
        capture = ["--store", str(self.folder / "store"), "--run-id", _RUN, "--root", str(self.folder / "work")]
        env = {"PATH": "/usr/bin:/bin", "HOME": str(self.folder / "home"), "X": "recorded"}
        return {
            "cwd": str(self.folder / "work"),
            "env": env,
            "umask": 0o027,
            "limits": {"report": str(self.report)},
            "capture": [*capture, "--", sys.executable, "-I", "-c", program],
        } | changes

    def run(self, plan: dict[str, Any]) -> subprocess.CompletedProcess[str]:
        (self.folder / "plan.json").write_text(json.dumps(plan))
        words = [sys.executable, "-m", "dsenv.agent", "replay", str(self.folder / "plan.json")]
        return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)

    def record(self) -> Record:
        return Record(FolderStore(self.folder / "store"), _RUN)


@pytest.fixture
def rerun(tmp_path: Path) -> Rerun:
    return Rerun(tmp_path)


def test_a_process_is_prepared(rerun: Rerun) -> None:
    limits = {"report": str(rerun.report), "ulimits": {"nofile": [99, 200]}, "affinity": 1}
    done = rerun.run(rerun.plan(_SAY, limits=limits))
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert (seen["cwd"], seen["x"], seen["umask"]) == (str(rerun.folder / "work"), "recorded", 0o027)
    assert (seen["cpus"], seen["files"]) == (1, [99, 200])
    assert rerun.record().complete
    assert json.loads(rerun.report.read_text()) == {"groups": [], "refused": []}


def test_a_folder_that_is_not_there_runs_nothing(rerun: Rerun) -> None:
    done = rerun.run(rerun.plan("print('ran')", cwd=str(rerun.folder / "absent")))
    assert (done.returncode, done.stdout) == (NOT_PREPARED, "")
    assert "absent" in done.stderr


@pytest.mark.skipif(not namespace.available(), reason="this machine refuses mount namespaces")
@pytest.mark.parametrize("covered", [False, True])
def test_a_view_of_its_own(rerun: Rerun, covered: bool) -> None:
    """Recorded files are at their paths, others are hidden, and what is written elsewhere stays in the folder."""
    source, outside = rerun.folder / "recorded.txt", rerun.folder.parent / f"{rerun.folder.name}-outside"
    source.write_text("recorded")
    outside.mkdir()
    (outside / "shown").write_text("of today")
    (outside / "hidden").write_text("of today")
    (rerun.folder / "staging").mkdir()
    program = (
        f"import os; print(open({str(outside / 'shown')!r}).read(), os.path.exists({str(outside / 'hidden')!r}));"
        f"open({str(outside / 'written')!r}, 'w').write('x')"
    )
    if covered and not overlay.available(str(rerun.folder)):
        pytest.skip("this machine has no overlays")
    changes = {
        "staging": str(rerun.folder / "staging"),
        "places": [[str(source), str(outside / "shown")]],
        "hidden": [str(outside / "hidden")],
        "cover": str(rerun.folder) if covered else "",
    }
    done = rerun.run(rerun.plan(program, **changes))
    assert (done.returncode, done.stdout) == (0, "recorded False\n"), done.stderr
    assert (outside / "shown").read_text() == "of today"
    assert not covered or not (outside / "written").exists()


@pytest.mark.skipif(not memory.available(), reason="this system does not tell what processes use")
def test_a_memory_limit_that_is_watched(rerun: Rerun) -> None:
    peak, killed = rerun.folder / "peak", rerun.folder / "killed"
    limits = {
        "report": str(rerun.report),
        "memory": 150 << 20,
        "memory_by": "watch",
        "memory_kill": "process",
        "peak": str(peak),
        "killed": str(killed),
    }
    program = "import time\nkept = []\nwhile True:\n kept.append(bytearray(4 << 20))\n time.sleep(0.005)"
    done = rerun.run(rerun.plan(program, limits=limits))
    assert done.returncode in {-9, 137}, done.stderr
    found = rerun.record().data["signature"]
    assert found is not None
    assert (found["signal"], found["cause"]) == ("SIGKILL", "out-of-memory")
    reserved, used = memory.SAMPLE.unpack(peak.read_bytes())
    assert reserved >= used > 100 << 20


@pytest.mark.skipif(not cgroup.available("memory"), reason="no control group can be made here")
def test_a_memory_limit_of_the_kernel(rerun: Rerun) -> None:
    limits = {
        "report": str(rerun.report),
        "memory": 150 << 20,
        "memory_by": "cgroup",
        "memory_kill": "group",
        "peak": str(rerun.folder / "peak"),
        "killed": str(rerun.folder / "killed"),
    }
    done = rerun.run(rerun.plan("kept = [bytearray(4 << 20) for _ in range(1000)]", limits=limits))
    groups = json.loads(rerun.report.read_text())["groups"]
    try:
        assert done.returncode in {-9, 137}, done.stderr
        assert len(groups) == 1
    finally:
        deadline = time.monotonic() + 5
        while cgroup.remove(groups) and time.monotonic() < deadline:
            time.sleep(0.02)
    assert cgroup.remove(groups) == []


def test_what_this_machine_allows() -> None:
    words = [sys.executable, "-m", "dsenv.agent", "replay", "--probe"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    found = json.loads(done.stdout)
    assert found["namespace"] is namespace.available()
    assert set(found) == {"namespace", "overlay", "memory", "quota", "affinity"}
