"""Stacks from outside: dumps read, completed, and turned into failures; memory limits; processes."""

from __future__ import annotations

import faulthandler
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from dsenv.agent.capture import dumps, evidence, processes
from dsenv.agent.capture.blackbox import Seen, Watch
from dsenv.agent.capture.boxlog import BoxLog
from dsenv.agent.capture.limits import MemoryLimits
from dsenv.agent.capture.options import ArgumentsError, seconds
from dsenv.agent.capture.spool import Spool
from dsenv.agent.redact import Redactor
from dsenv.agent.schema import BlackBox
from dsenv.agent.store.base import StoreWriteError


def test_what_faulthandler_writes_is_read(tmp_path: Path) -> None:
    file = tmp_path / "naïve"
    done, begun = threading.Event(), threading.Event()

    def wait_here() -> None:
        begun.set()
        done.wait()

    thread = threading.Thread(target=wait_here)
    thread.start()
    begun.wait()
    with file.open("w") as out:
        for _ in range(2):
            faulthandler.dump_traceback(out)
    done.set()
    thread.join()
    first, second = dumps.parse(file.read_text(), 7)
    assert first.signal is None and len(first.stacks) == len(second.stacks) >= 2
    assert first.stacks[0]["frames"][-1]["function"] == "test_what_faulthandler_writes_is_read"
    assert first.stacks[0]["pid"] == 7
    assert any(frame["function"] == "wait_here" for stack in first.stacks[1:] for frame in stack["frames"])


@pytest.mark.parametrize("name", ["sigsegv", "sigabrt", "sigfpe"])
def test_a_crash_says_by_which_signal(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", f"import faulthandler; faulthandler._{name}()"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    (dump,) = dumps.parse("before\n" + done.stderr, 1)
    assert dump.signal == signal.Signals(-done.returncode).name == name.upper()
    assert dump.stacks[0]["frames"][0]["file"] == "<string>"


def test_escaped_names_and_unknown_text_are_no_trouble() -> None:
    text = 'x\nCurrent thread 0x1 [main] (most recent call first):\n  File "/a/\\xe9\\u2603.py", line ??? in f\nrest'
    (dump,) = dumps.parse(text, 1)
    assert dump.stacks == [
        {
            "pid": 1,
            "thread": "main",
            "frames": [
                {"file": "/a/é☃.py", "function": "f", "line": 0, "first_line": 0, "source": [], "user": False,
                 "locals": []}
            ],
        }
    ]  # fmt: skip


def _frame(file: str, line: int, function: str = "f") -> Any:
    return {"file": file, "function": function, "line": line, "first_line": 0, "source": [], "locals": []}


def test_frames_get_their_source_wherever_it_is(tmp_path: Path) -> None:
    script = tmp_path / "job.py"
    script.write_text("import os\ndef work(n):\n    return 1 / n\n")
    frames = [_frame(str(script), 3), _frame("<string>", 1), _frame("<dynamic-code>", 3, "work"), _frame("/no/x.py", 1)]
    failure: Any = {"pid": 5, "how": "worker", "argv": [], "exceptions": [{"type": "E", "frames": frames}]}
    pythons = [{"pid": 5, "ppid": 4, "argv": ["python", "-c", "work()"]}, {"pid": 4, "argv": ["python", "job.py"]}]
    evidence.complete([failure], str(tmp_path), str(tmp_path), pythons)
    lines = [frame["source"][frame["line"] - frame["first_line"]] if frame["source"] else None for frame in frames]
    assert lines == ["    return 1 / n", "work()", "    return 1 / n", None]
    assert frames[0]["user"] is True and frames[2]["file"] == str(script)
    assert (failure["argv"], failure["ppid"]) == (["python", "-c", "work()"], 4)


def test_the_last_place_of_each_kind_counts_with_the_locals_that_were_still_seen() -> None:
    early, late = _frame("/app/a.py", 3), _frame("/app/a.py", 4)
    early["locals"] = [{"name": "n", "type": "int", "preview": "1"}]
    entries: list[BlackBox] = [
        {"when": 1, "why": "memory", "share": 0.8, "limit": 100 << 20, "stacks": [{"pid": 1, "frames": [early]}]},
        {"when": 2, "why": "memory", "share": 0.98, "limit": 100 << 20, "stacks": [{"pid": 1, "frames": [late]}]},
        {"when": 3, "why": "memory", "share": 0.98, "limit": 100 << 20, "stacks": []},
    ]
    (found,) = evidence.failures(Seen(entries, [], None), failed=True, killed=True)
    error = found["exceptions"][0]
    assert (found["how"], error["type"], error["message"]) == ("memory", "out-of-memory", "98 % of 100 MB were used")
    assert error["frames"][0]["line"] == 4 and error["frames"][0]["locals"][0]["name"] == "n"
    assert evidence.failures(Seen(entries, [], None), failed=True, killed=False) == []
    assert (
        evidence.failures(Seen([{"when": 1, "why": "time-out", "stacks": []}], [], None), failed=True, killed=False)
        == []
    )


def test_the_tightest_group_counts_and_pages_that_can_be_dropped_do_not(tmp_path: Path) -> None:
    (tmp_path / "cg/memory/pod/app").mkdir(parents=True)
    (tmp_path / "proc/9").mkdir(parents=True)
    (tmp_path / "proc/9/cgroup").write_text("4:memory:/pod/app\n0::/\n")
    values = {"pod": ("1000", "900", "50", "50"), "pod/app": (str(1 << 62), "100", "0", "0")}
    for name, (limit, used, active, inactive) in values.items():
        folder = tmp_path / "cg/memory" / name
        (folder / "memory.limit_in_bytes").write_text(limit)
        (folder / "memory.usage_in_bytes").write_text(used)
        (folder / "memory.stat").write_text(
            f"inactive_file 1\ntotal_active_file {active}\ntotal_inactive_file {inactive}\n"
        )
    limits = MemoryLimits.around(9, str(tmp_path / "cg"), str(tmp_path / "proc"))
    use = limits.use()
    assert use is not None and (use.used, use.limit, use.share) == (800, 1000, 0.8)
    limits.close()
    assert not limits and limits.use() is None


def test_the_second_version_of_groups_is_read_as_well(tmp_path: Path) -> None:
    (tmp_path / "cg/app").mkdir(parents=True)
    (tmp_path / "proc/9").mkdir(parents=True)
    (tmp_path / "proc/9/cgroup").write_text("0::/app\n")
    for name, text in (("max", "1000"), ("current", "900"), ("stat", "anon 5\ninactive_file 100\n")):
        (tmp_path / "cg/app" / f"memory.{name}").write_text(text)
    use = MemoryLimits.around(9, str(tmp_path / "cg"), str(tmp_path / "proc")).use()
    assert use is not None and (use.used, use.limit) == (800, 1000)
    (tmp_path / "cg/app/memory.max").write_text("max\n")
    assert not MemoryLimits.around(9, str(tmp_path / "cg"), str(tmp_path / "proc"))
    assert not MemoryLimits.around(8, str(tmp_path / "cg"), str(tmp_path / "proc"))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_processes_are_told_apart() -> None:
    code = "import signal, sys; signal.signal(50, lambda *_: None); print('ready', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None and child.stdout.readline() == b"ready\n"
        found = {process.pid: process for process in processes.tree(os.getpid())}
        assert child.pid in found and processes.lives(found[child.pid])
        assert processes.catches(child.pid, 50) and not processes.catches(child.pid, 51)
        assert not processes.waits_for_signal(child.pid)
        assert processes.resident(child.pid) > 0
        child.communicate()
    assert not processes.lives(found[child.pid])
    assert processes.resident(child.pid) == 0 and not processes.catches(child.pid, 50)


def test_the_black_box_is_stored_after_each_entry_and_says_what_is_wrong_once() -> None:
    puts: list[bytes] = []
    trouble: list[str] = []
    log = BoxLog(Redactor(), "/app", trouble.append)
    frame = _frame("/app/a.py", 1) | {"locals": [{"name": "db_password", "type": "str", "preview": "'hunter2x'"}]}
    log.add({"when": 1, "why": "memory", "stacks": [{"pid": 1, "frames": [frame]}]})

    def put(data: bytes) -> None:
        puts.append(data)
        if len(puts) > 1:
            raise StoreWriteError("the store is away")

    log.attach(put)
    log.add({"when": 2, "why": "SIGTERM", "stacks": []})
    log.close()
    assert puts[-1].count(b"\n") == 2 and b"hunter2x" not in puts[-1]
    assert frame["locals"][0]["preview"] == "'hunter2x'", "what others still use is not changed"
    assert len(trouble) <= 1


@pytest.mark.parametrize(("text", "value"), [("", None), ("90", 90), ("1.5", 1.5), ("2m", 120), ("1h", 3600), ("0", 0)])
def test_times_are_those_of_gnu_timeout(text: str, value: float | None) -> None:
    assert seconds(text, "timeout") == value


@pytest.mark.parametrize("text", ["x", "-1", "1w", "1 s", "1e3"])
def test_times_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(ArgumentsError, match="--timeout"):
        seconds(text, "timeout")


def test_a_time_out_is_kept_whatever_is_wrong_with_the_black_box(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    spool = Spool.make({}, str(tmp_path))
    spool.fill({})

    def broken(entry: object) -> None:
        raise RuntimeError("unforeseen")

    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        watch = Watch(process.pid, spool, broken, timeout=0.2, kill_after=1.0)
        watch.start()
        assert process.wait(20) == -signal.SIGTERM
    assert watch.finish().sent == "SIGTERM"
    assert watch.trouble == ["the black box is not complete: RuntimeError: unforeseen"]
    assert capfd.readouterr().err == ""
    spool.remove()
