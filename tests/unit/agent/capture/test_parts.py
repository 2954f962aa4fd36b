"""The pieces of capture that work without a process: facts, log, spool, record."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

import pytest

from dsenv.agent import fingerprint
from dsenv.agent.capture import facts, judge, oom, record, spool
from dsenv.agent.capture.keeper import Keeper
from dsenv.agent.capture.options import Options, Project
from dsenv.agent.capture.outputlog import OutputLog
from dsenv.agent.redact import Redactor
from dsenv.agent.schema import OUTPUT_HEADER, Distribution
from dsenv.agent.store import Log, StoreWriteError, open_writer

LOCK = b"""lock-version = "1.0"
[[packages]]
name = "NumPy"
version = "2.0.1"
[[packages.wheels]]
name = "numpy-2.0.1-py3-none-any.whl"
[[packages]]
name = "colorama"
version = "0.4"
marker = "sys_platform == 'win32'"
[tool.dsenv]
python = "3.11"
id = "0123456789abcdef0123"
"""


def present(**versions: str) -> list[Distribution]:
    return [{"name": name, "version": version} for name, version in versions.items()]


def test_what_a_lock_says() -> None:
    assert facts.packages(LOCK) == {"numpy": "2.0.1", "colorama": None}
    assert facts.lock_id(LOCK) == "0123456789abcdef0123"
    assert facts.lock_id(b"") is None


@pytest.mark.parametrize(
    ("versions", "expected"),
    [
        ({"numpy": "2.0.1"}, True),
        ({"numpy": "2.0.1", "pip": "1", "churn": "0.1"}, True),
        ({"numpy": "2.0.1", "colorama": "0.4"}, True),
        ({"numpy": "2.0.2"}, False),
        ({}, False),
        ({"numpy": "2.0.1", "scipy": "1"}, False),
    ],
)
def test_whether_the_environment_is_what_the_lock_says(versions: dict[str, str], expected: bool) -> None:
    assert facts.satisfied(present(**versions), LOCK, "churn") is expected


def test_an_empty_lock_is_satisfied_by_an_empty_environment() -> None:
    assert facts.satisfied(present(pip="1"), b'lock-version = "1.0"\n', None) is True
    assert facts.satisfied(present(numpy="1"), b'lock-version = "1.0"\n', None) is False


def test_the_lock_of_a_project(tmp_path: Path) -> None:
    assert facts.read_lock("", str(tmp_path)) is None
    (tmp_path / "pylock.toml").write_bytes(LOCK)
    assert facts.read_lock("", str(tmp_path)) == LOCK
    assert facts.read_lock(str(tmp_path / "absent"), str(tmp_path)) is None
    writer = open_writer(str(tmp_path / "store"), {})
    python = {"version": "3.11.1", "path": [], "executable": "/x/python", "pid": 5}
    found = facts.environment(python, LOCK, writer, None)
    assert found["satisfied"] is False and found["distributions"] == []
    assert found["python"] == {"version": "3.11.1", "path": [], "executable": "/x/python"}
    assert facts.environment(None, None, None, None) == {"lock": None, "lock_id": None}


def test_the_interpreter_of_the_fingerprint_is_the_commands() -> None:
    here = fingerprint.collect({"TZ": "UTC"})
    place = facts.place(here, {"version": "3.9.1", "executable": "/no/python", "implementation": "cpython"}, {})
    assert place["python"] == {"version": "3.9.1", "executable": "/no/python", "implementation": "cpython"}
    assert place["locale"]["TZ"] == "UTC"
    assert "python" in here
    bare = facts.place(here, None, {"nofile": [9, 9]})
    assert "python" not in bare
    assert bare["limits"] == {**here["limits"], "ulimit": {"nofile": [9, 9]}}


class Memory(Log):
    def __init__(self, room: int = 1 << 30) -> None:
        self.data, self.room, self.closed = b"", room, False

    def write(self, data: bytes) -> None:
        if len(self.data) + len(data) > self.room:
            raise StoreWriteError("full")
        self.data += data

    def flush(self) -> None:
        """Nothing is kept back."""

    def close(self) -> None:
        self.closed = True


def chunks(data: bytes) -> list[tuple[int, bytes]]:
    found = []
    while data:
        stream, _, length = OUTPUT_HEADER.unpack_from(data)
        found.append((stream, data[OUTPUT_HEADER.size : OUTPUT_HEADER.size + length]))
        data = data[OUTPUT_HEADER.size + length :]
    return found


def logged(
    *pieces: tuple[int, bytes], log: Memory | None = None
) -> tuple[list[tuple[int, bytes]], list[str], OutputLog]:
    kept, trouble = log or Memory(), list[str]()
    output = OutputLog(Redactor(), trouble.append)
    for stream, data in pieces:
        output.add(stream, data)
    output.start()
    output.attach(kept)
    output.close()
    assert kept.closed or trouble
    return chunks(kept.data), trouble, output


def test_lines_are_kept_whole_whatever_pieces_they_come_in() -> None:
    found, _, output = logged((1, b"pass"), (2, b"other\n"), (1, b"word=hun"), (1, b"ter22\nrest"))
    assert found == [(2, b"other\n"), (1, b"password=<redacted>\n"), (1, b"rest")]
    assert output.size == sum(OUTPUT_HEADER.size + len(data) for _, data in found)


def test_a_private_key_that_comes_line_by_line() -> None:
    lines = [
        b"before\n",
        b"-----BEGIN RSA PRIVATE KEY-----\n",
        b"MIIEabc\n",
        b"-----END RSA PRIVATE KEY-----\n",
        b"after\n",
    ]
    found, _, _ = logged(*((1, line) for line in lines))
    assert b"".join(data for _, data in found) == b"before\n<redacted>\nafter\n"


def test_a_line_without_an_end_is_not_waited_for_for_ever() -> None:
    found, _, _ = logged((1, b"x" * 200_000))
    assert sum(len(data) for _, data in found) == 200_000


def test_a_store_that_is_full_ends_the_log_and_is_told() -> None:
    found, trouble, _ = logged(
        (1, b"first\n"), (1, b"second\n"), (1, b"third\n"), log=Memory(struct.calcsize(">BQI") + 6)
    )
    assert found == [(1, b"first\n")]
    assert trouble == ["the output is not complete: full"]


def test_output_that_comes_faster_than_it_is_taken_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dsenv.agent.capture.outputlog._HELD_LIMIT", 10)
    found, trouble, _ = logged((1, b"12345678\n"), (1, b"more\n"), (1, b"more\n"))
    assert found == [(1, b"12345678\n")]
    assert len(trouble) == 1 and "as fast" in trouble[0]


def test_a_spool_is_private_and_gone_afterwards(tmp_path: Path) -> None:
    made = spool.Spool.make({"TMPDIR": str(tmp_path / "absent")}, str(tmp_path))
    made.fill({"root": "/a", "odd": "two\nlines"})
    assert Path(made.folder).parent == tmp_path.resolve()
    assert Path(made.folder).stat().st_mode & 0o777 == 0o700
    assert Path(made.hook, "settings").read_text() == "root\t/a\n"
    (Path(made.copies) / "link").symlink_to("/etc")
    with open(Path(made.hook, "events"), "wb") as file:
        file.write(b'{"e": "a"}\nnot json\n[1]\n{"e": "cut')
    assert list(made.events()) == [{"e": "a"}]
    made.remove()
    assert list(tmp_path.iterdir()) == []
    assert list(made.events()) == []


def test_only_spools_that_nobody_uses_are_swept(tmp_path: Path) -> None:
    dead, alive, other = (tmp_path / f"dsenv-run-{name}-abc" for name in ("999999999", os.getpid(), "x"))
    fresh = tmp_path / "dsenv-run-999999998-abc"
    for folder in (dead, alive, other, fresh):
        folder.mkdir()
        if folder is not fresh:
            os.utime(folder, (0, 0))
    spool.sweep(str(tmp_path), {"TMPDIR": str(tmp_path / "absent")})
    assert not dead.exists() and alive.exists() and other.exists() and fresh.exists()


def test_events_are_sorted_by_what_they_say(tmp_path: Path) -> None:
    failure: dict[str, Any] = {"pid": 2, "when": 5, "how": "uncaught", "exceptions": [{"type": "E", "frames": []}]}
    told = record.gather([
        {"e": "python", "pid": 2, "when": 1},
        {"e": "written", "path": "/out"},
        {"e": "input", "path": "/out"},
        {"e": "input", "path": "/in"},
        {"e": "failure", "failure": failure},
        {"e": "failure", "failure": None},
        {"e": "trouble", "text": "t"},
        {"e": "unknown"},
    ])  # fmt: skip
    assert [item["path"] for item in told.inputs] == ["/in"]
    assert told.trouble == ["t"] and len(told.pythons) == 1 and told.failures == [failure]
    frames, found, related = judge.judge(told, judge.Ending(1, None), "/")
    assert frames["primary"] == 0 and found is not None and found["type"] == "E" and related == []


def test_inputs_that_cannot_be_kept_are_said(tmp_path: Path) -> None:
    writer = open_writer(str(tmp_path / "store"), {})
    large = tmp_path / "large"
    large.write_bytes(b"abc")
    info = large.stat()
    events = [
        {"e": "input", "path": "/gone", "size": 3, "copy": "1-1"},
        {"e": "input", "path": str(large), "size": 3, "mtime_ns": info.st_mtime_ns, "note": "larger than the cap"},
        {"e": "input", "path": str(large), "size": 4, "mtime_ns": info.st_mtime_ns},
        {"e": "input", "path": "/empty", "size": 0},
        {"e": "input", "path": "/none", "missing": True},
        {"e": "input", "path": "/evil", "size": 1, "mtime_ns": 0, "copy": "../../etc/passwd"},
    ]
    lines, trouble = record.store_inputs(events, str(tmp_path), writer)
    assert lines[0]["note"] == "could not be kept" and len(trouble) == 1
    assert "sha256" in lines[1] and "blob" not in lines[1] and "sha256" not in lines[2]
    assert "blob" in lines[3] and lines[4] == {"path": "/none", "missing": True}
    assert "blob" not in lines[5]


@pytest.mark.parametrize(
    ("membership", "file", "content", "expected"),
    [
        ("0::/pod/x\n", "pod/x/memory.events", "low 0\noom 4\noom_kill 3\n", 3),
        ("0::/pod/x\n", "memory.events", "oom_kill 2\n", 2),
        ("5:cpu:/\n4:memory,x:/pod\n", "memory/pod/memory.oom_control", "under_oom 0\noom_kill 7\n", 7),
        ("4:memory:/pod\n", "memory/pod/memory.oom_control", "under_oom 0\n", None),
        ("0::/\n", "unified/memory.events", "oom_kill 1\n", 1),
        ("damaged\n", "memory.events", "oom_kill 1\n", None),
        ("0::/\n", "memory.events", "oom_kill many\n", None),
    ],
)
def test_kills_for_want_of_memory(
    membership: str, file: str, content: str, expected: int | None, tmp_path: Path
) -> None:
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text(content)
    (tmp_path / "membership").write_text(membership)
    assert oom.kills(str(tmp_path), str(tmp_path / "membership")) == expected
    assert oom.kills(str(tmp_path), str(tmp_path / "absent")) is None


class Failing(Keeper):
    """Something that nobody thought of."""

    def _snapshot(self) -> None:
        raise RuntimeError("unforeseen")


def test_an_error_that_nobody_thought_of_stays_in_the_record(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    project = Project(str(tmp_path), None, None, True)
    keeper = Failing(Options(["x"]), project, str(tmp_path / "store"), "20260102T030405-000000-abcd", None)
    keeper.prepare({"A": "b"}, {"cwd": "/", "started": 1, "pid": 2, "hash_seed": "3"})
    keeper.start()
    finished = keeper.finish({"status": "failed", "exit": 1, "signal": None, "stdin": {}}, b"in")
    assert finished["trouble"] == ["RuntimeError: unforeseen"]
    assert finished["record"] is not None and (tmp_path / "store" / finished["record"] / "record.json").exists()
    assert capfd.readouterr().err == ""


class Broken(Redactor):
    """A bug."""

    def text(self, text: str, where: str, place: str) -> str:
        raise RuntimeError("unforeseen")


def test_an_error_in_the_log_is_told_and_nothing_else(capfd: pytest.CaptureFixture[str]) -> None:
    trouble: list[str] = []
    output = OutputLog(Broken(), trouble.append)
    output.start()
    output.attach(Memory())
    output.add(1, b"x\n")
    output.close()
    assert trouble == ["the output is not complete: RuntimeError: unforeseen"]
    assert capfd.readouterr().err == ""
