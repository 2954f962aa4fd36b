"""What the record of a captured command says of why it ended."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from dsenv.events import Cancel, ignore
from dsenv.workflows import reproduce as workflow
from tests.integration.capturing import AGENT, REPOSITORY, capture, eventually, only, python
from tests.measuring import unmeasured


@pytest.mark.skipif(os.getuid() != 0 or sys.platform != "linux", reason="a control group of one's own needs root")
def test_a_kill_for_want_of_memory_is_called_that(tmp_path: Path) -> None:
    group = Path("/sys/fs/cgroup/memory") / f"dsenv-test-{os.getpid()}"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(120 << 20))
    except OSError:
        pytest.skip("this container may not make control groups")
    try:
        words = " ".join([*AGENT, "--store", str(tmp_path), "--", sys.executable, "-c", "'x = bytearray(300 << 20)'"])
        script = f"echo $$ > {group}/cgroup.procs && exec {words}"
        done = subprocess.run(["sh", "-c", script], check=False, capture_output=True, timeout=60)
        assert done.returncode == -signal.SIGKILL
    finally:
        eventually(lambda: not (group / "cgroup.procs").read_text())
        group.rmdir()
    found = only(tmp_path).data["signature"]
    assert found is not None
    assert (found["signal"], found["cause"]) == ("SIGKILL", "out-of-memory")


@pytest.mark.parametrize(
    "start",
    [
        "subprocess.run([sys.executable, 'child.py'])",
        "subprocess.run([sys.executable, 'child.py'], env={**os.environ, 'A': 'b'})",
        "subprocess.run([sys.executable, 'child.py'], env={})",
        "os.spawnve(os.P_WAIT, sys.executable, [sys.executable, 'child.py'], {})",
        "os.system(sys.executable + ' child.py')",
        "os.execve(sys.executable, [sys.executable, 'child.py'], dict(os.environ))",
    ],
)
def test_children_are_followed_however_they_are_started(start: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "parent.py").write_text(f"import os, subprocess, sys\n{start}\nsys.exit(1)")
    (tmp_path / "child.py").write_text("import os\nprint(os.environ.get('PYTHONPATH'), flush=True)\nopen('no')\n")
    done = capture(tmp_path / "store", [sys.executable, "parent.py"], cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, b"None\n")
    found = only(tmp_path / "store").data["signature"]
    assert found is not None and found["type"] == "FileNotFoundError", found
    assert found["frame"] is not None and found["frame"]["file"] == "child.py"


LOGGED = "import logging\ntry: 1/0\nexcept Exception: logging.exception('x')\nraise SystemExit(5)"
IN_A_THREAD = "import threading\nt = threading.Thread(target=lambda: 1/0)\nt.start(); t.join()\nraise SystemExit(2)"


@pytest.mark.parametrize(
    ("body", "kind", "how"),
    [
        ("import sys\nsys.excepthook = lambda *a: None\n1/0", "ZeroDivisionError", "uncaught"),
        ("import sys\ntry: 1/0\nexcept Exception: sys.exit(4)", "ZeroDivisionError", "exit"),
        (LOGGED, "ZeroDivisionError", "logged"),
        ("def f(: pass", "SyntaxError", "uncaught"),
        ("def f(): f()\nf()", "RecursionError", "uncaught"),
        (IN_A_THREAD, "ZeroDivisionError", "thread"),
        ("l = []\nwhile True: l.append(open(__file__))", "OSError", "uncaught"),
        ("raise ExceptionGroup('many', [ValueError('a'), KeyError('b')])", "ExceptionGroup", "uncaught"),
        ("import missing_module_x", "ModuleNotFoundError", "uncaught"),
    ],
)  # fmt: skip
def test_failures_of_every_kind_are_found(body: str, kind: str, how: str, tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text(body)
    bare = subprocess.run([sys.executable, "job.py"], check=False, capture_output=True, cwd=tmp_path)
    done = capture(tmp_path / "store", [sys.executable, "job.py"], cwd=tmp_path)
    assert (done.returncode, done.stdout) == (bare.returncode, bare.stdout)
    # Without descriptors, whoever measures coverage fails at the end as well.
    assert done.stderr.partition(b"\nException ignored")[0] == bare.stderr.partition(b"\nException ignored")[0]
    record = only(tmp_path / "store")
    found, frames = record.data["signature"], record.frames()
    assert found is not None and found["type"] == kind, found
    assert frames["primary"] is not None and frames["failures"][frames["primary"]]["how"] == how
    assert found["frame"] is not None and found["frame"]["file"] == "job.py"


def test_an_exit_code_without_an_exception_is_a_failure(tmp_path: Path) -> None:
    capture(tmp_path, python("import sys; sys.exit(7)"))
    found = only(tmp_path).data["signature"]
    assert found is not None and (found["kind"], found["exit"]) == ("exit", 7)


def test_a_step_that_the_script_goes_on_after_is_not_the_failure(tmp_path: Path) -> None:
    script = f"{sys.executable} -c 1/0; {sys.executable} -c 'print(1)'; exit 3"
    capture(tmp_path, ["sh", "-c", script])
    record = only(tmp_path)
    found = record.data["signature"]
    assert found is not None and found["kind"] == "exit"
    assert [item["type"] for item in record.data["related"]] == ["ZeroDivisionError"]


GROW = """import sys
def grow(step):
    kept = []
    while True:
        kept.append(bytearray(step << 20))
grow(int(sys.argv[1]))
"""


@pytest.mark.skipif(os.getuid() != 0 or sys.platform != "linux", reason="a control group of one's own needs root")
@pytest.mark.parametrize("step", [5, 50, 150])
def test_the_black_box_names_the_line_that_filled_the_memory(step: int, tmp_path: Path) -> None:
    group = Path("/sys/fs/cgroup/memory") / f"dsenv-box-{os.getpid()}-{step}"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(400 << 20))
    except OSError:
        pytest.skip("this container may not make control groups")
    (tmp_path / "grow.py").write_text(GROW)
    try:
        words = " ".join([*AGENT, "--store", str(tmp_path / "store"), "--", sys.executable, "grow.py", str(step)])
        script = f"echo $$ > {group}/cgroup.procs && exec {words}"
        done = subprocess.run(
            ["sh", "-c", script], check=False, capture_output=True, timeout=60, cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": REPOSITORY},
        )  # fmt: skip
        assert done.returncode == -signal.SIGKILL, done.stderr
    finally:
        eventually(lambda: not (group / "cgroup.procs").read_text())
        group.rmdir()
    record = only(tmp_path / "store")
    found = record.data["signature"]
    assert found is not None and found["frame"] is not None
    assert (found["cause"], found["frame"]["line_text"]) == ("out-of-memory", "kept.append(bytearray(step << 20))")
    lines = _black_box(tmp_path / "store")
    assert {entry["why"] for entry in lines} == {"memory"}
    assert any(entry["stacks"] and entry["stacks"][0]["frames"][-1]["line"] == 5 for entry in lines)


def _black_box(store: Path) -> list[dict[str, Any]]:
    (file,) = store.glob("runs/*/*/*/*/blackbox.jsonl")
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_the_whole_tree_ends_at_the_time_out_and_each_python_says_where_it_was(tmp_path: Path) -> None:
    child = "import sys, time\nprint('up', flush=True)\ndef wait(seconds): time.sleep(seconds)\nwait(60)"
    code = f"import subprocess, sys\nrows = [1, 2]\nsubprocess.run([sys.executable, '-c', {child!r}])"
    begun = time.monotonic()
    done = capture(tmp_path, python(code), "--timeout", "1.2")
    assert (done.returncode, done.stdout) == (124, b"up\n")
    assert time.monotonic() - begun < 50  # not the minute that they would sleep
    record = only(tmp_path)
    assert record.data["timeout"] == 1.2
    failures = record.frames()["failures"]
    assert [failure["how"] for failure in failures] == ["time-out", "time-out"]
    frames = failures[1]["exceptions"][0]["frames"]
    assert frames[-1]["function"] == "wait" and frames[-1]["locals"][0]["preview"] == "60"
    pids = {stack["pid"] for entry in _black_box(tmp_path) for stack in entry["stacks"]}
    assert len(pids) == 2
    eventually(lambda: not any(_runs(pid) for pid in pids))


def _runs(pid: int) -> bool:
    """Whether it is more than an exit code that nobody has asked for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_where_it_was_at_sigterm_is_kept(tmp_path: Path) -> None:
    code = "import time\ndef work(rows):\n print('up', flush=True)\n time.sleep(60)\nwork([1])"
    with subprocess.Popen(
        [*AGENT, "--store", str(tmp_path), "--", *python(code)], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == b"up\n"
        process.terminate()
        assert process.wait(20) == -signal.SIGTERM
    (entry,) = _black_box(tmp_path)
    assert entry["why"] == "SIGTERM"
    found = only(tmp_path).data["signature"]
    assert found is not None and found["frame"] is not None and found["frame"]["function"] == "work"


SLOWLY = """import random, sys, time
words = open("words.txt").read().split()
kept = []
def grow(step):
    print(random.choice(words), flush=True)
    while True:
        kept.append(bytearray(step << 20))
        time.sleep(0.02)
grow(2)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.getuid() != 0 or sys.platform != "linux", reason="a control group of one's own needs root")
def test_a_container_that_is_killed_whole_is_reproduced(tmp_path: Path) -> None:
    """As the kernel does it with `memory.oom.group`: both are killed at once, and no record is completed."""
    group = Path("/sys/fs/cgroup/memory") / f"dsenv-lost-{os.getpid()}"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(200 << 20))
    except OSError:
        pytest.skip("this container may not make control groups")
    root, store = tmp_path / "app", tmp_path / "store"
    root.mkdir()
    (root / "grow.py").write_text(SLOWLY)
    (root / "words.txt").write_text(" ".join(f"word{number}" for number in range(1000)))
    words = " ".join([*AGENT, "--store", str(store), "--", sys.executable, "grow.py"])
    try:
        with subprocess.Popen(
            ["sh", "-c", f"echo $$ > {group}/cgroup.procs && exec {words}"],
            cwd=root, stdout=subprocess.PIPE, env=unmeasured() | {"PYTHONPATH": REPOSITORY},
        ) as process:  # fmt: skip
            eventually(lambda: bool(list(store.glob("runs/*/*/*/*/inputs.jsonl"))))
            # Capture first: it would complete the record, were it told of the other's end.
            members = sorted(map(int, (group / "cgroup.procs").read_text().split()), key=lambda pid: pid != process.pid)
            for pid in members:
                os.kill(pid, signal.SIGKILL)
            assert process.stdout is not None
            said = process.stdout.read()
    finally:
        eventually(lambda: not (group / "cgroup.procs").read_text())
        group.rmdir()
    assert not list(store.glob("runs/*/*/*/*/record.json"))
    (beat,) = store.glob("runs/*/*/*/*/heartbeat")
    beat.write_text(str(int(beat.read_text()) - 3_600_000_000))
    record = only(store)
    assert record.status == "lost"
    assert [item["path"] for item in record.inputs() if "blob" in item] == [str(root / "words.txt")]
    shutil.rmtree(root)

    result = workflow.reproduce(record, workflow.Options(), emit=ignore, cancel=Cancel())
    assert result.verdict == "same-failure", (result.recorded, result.observed, result.not_restored)
    assert result.recorded is not None and result.recorded["presumed"] is True
    assert result.explained_by is not None
    assert b"".join(chunk.data for chunk in result.output) == said  # the word was drawn again
