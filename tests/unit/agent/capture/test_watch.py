"""Reads of other programs, seen from outside. The command of these tests is a child of the test itself."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from dsenv.agent import schema
from dsenv.agent.capture import inotify, reader, watch
from dsenv.agent.capture.spool import Spool

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")


class Watched:
    """A watcher of `folder` that is ready."""

    def __init__(self, folder: Path, command: tuple[str, ...] = ("sh",), declared: tuple[str, ...] = ()) -> None:
        self.folder = folder
        self.project = folder / "project"
        self.project.mkdir(exist_ok=True)
        self.spool = Spool.make({"TMPDIR": str(folder)}, None)
        self.spool.fill({})
        self.began = time.time_ns()
        wanted = watch.Wanted(
            str(self.project), True, str(self.project), list(command), declared, (self.spool.folder,), self.began
        )
        self.watcher = watch.Watcher(wanted, self.spool, os.getpid())

    def __enter__(self) -> Watched:
        self.watcher.start()
        assert self.watcher.ready.wait(60)
        return self

    def shell(self, line: str) -> None:
        subprocess.run(["sh", "-c", line], cwd=self.project, check=True, stdout=subprocess.DEVNULL)

    def __exit__(self, *_: object) -> None:
        self.watcher.stop()
        self.found: dict[str, Any] = {
            os.path.relpath(item["path"], self.project): item for item in self.watcher.finish()
        }

    def content(self, name: str) -> bytes:
        copy: str = self.found[name]["copy"]
        return (Path(self.spool.copies) / copy).read_bytes()


def _old(path: Path, text: str) -> None:
    """A file that was there long before the command."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (1, 1))


def test_what_a_program_reads_is_copied(tmp_path: Path) -> None:
    _old(tmp_path / "project/deep/er/rows.csv", "1\n")
    _old(tmp_path / "project/unread.csv", "2\n")
    with Watched(tmp_path) as seen:
        seen.shell("cat deep/er/rows.csv")
    assert list(seen.found) == ["deep/er/rows.csv"]
    assert seen.content("deep/er/rows.csv") == b"1\n"
    assert seen.found["deep/er/rows.csv"]["how"] == "child"
    assert "note" not in seen.found["deep/er/rows.csv"]
    assert seen.watcher.trouble == []


def test_what_a_program_makes_is_no_input(tmp_path: Path) -> None:
    with Watched(tmp_path) as seen:
        seen.shell("echo x > made; cat made; echo y > moving; mv moving moved; cat moved")
    assert seen.found == {}


def test_what_is_changed_in_place_was_an_input(tmp_path: Path) -> None:
    _old(tmp_path / "project/log", "first\n")
    with Watched(tmp_path) as seen, (seen.project / "log").open("r+") as file:
        until = time.monotonic() + 60
        while not seen.watcher.found and time.monotonic() < until:
            threading.Event().wait(0.001)
        file.write("other")
        file.close()
    assert seen.content("log") == b"first\n"


def test_a_content_that_may_not_be_the_one_that_was_read_is_said(tmp_path: Path) -> None:
    with Watched(tmp_path / ".") as seen:
        pass
    again = tmp_path / "again"
    again.mkdir()
    (again / "project").mkdir()
    (again / "project/fresh").write_text("x")
    os.utime(again / "project/fresh", ns=(1, time.time_ns() + 10**10))
    with Watched(again) as seen:
        seen.shell("cat fresh")
    assert seen.found["fresh"]["note"] == schema.COPIED_LATE


def test_our_own_reading_is_not_the_commands(tmp_path: Path) -> None:
    for name in ("a", "b"):
        _old(tmp_path / "project" / name, name)
    with Watched(tmp_path) as seen:
        for name in ("a", "b"):
            seen.watcher.own(str(seen.project / name))
            (seen.project / name).read_text()
        seen.shell("cat b")
    assert list(seen.found) == ["b"]


def test_what_a_python_noted_itself_is_not_noted_again(tmp_path: Path) -> None:
    _old(tmp_path / "project/rows", "1")
    with Watched(tmp_path) as seen:
        path = str(seen.project / "rows")
        with open(seen.spool.hook + "/events", "a") as events:
            events.write('{"e":"python","pid":1,"path":[]}\n{"e":"reading","path":"' + path + '"}\n')
        seen.shell("cat rows")
    assert seen.found == {}


def test_pipes_are_not_opened(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    os.mkfifo(tmp_path / "project/pipe")
    with Watched(tmp_path, ("sh", "pipe")) as seen:
        seen.shell("(echo x > pipe) & cat pipe; wait")
    assert seen.found == {}


def test_files_and_folders_that_the_command_names_are_watched(tmp_path: Path) -> None:
    _old(tmp_path / "data/one", "1")
    _old(tmp_path / "data/deep/two", "2")
    _old(tmp_path / "lone", "3")
    with Watched(tmp_path, ("python", "x.py", "--data=../data", "../lone")) as seen:
        seen.shell("cat ../data/one ../data/deep/two ../lone")
    assert set(seen.found) == {"../data/one", "../data/deep/two", "../lone"}


def test_a_file_that_a_program_is_told_to_read_is_kept_before_it_is_seen(tmp_path: Path) -> None:
    """A shell's first command is faster than we are."""
    _old(tmp_path / "state", "ready")
    with Watched(tmp_path, ("cat", "../state", "/etc/passwd")) as seen:
        (tmp_path / "state").unlink()
    assert seen.content("../state") == b"ready"
    assert list(seen.found) == ["../state"]


def test_declared_inputs_are_kept(tmp_path: Path) -> None:
    _old(tmp_path / "data/one", "1")
    _old(tmp_path / "data/deep/two", "2")
    with Watched(tmp_path, ("python",), ("../data", "../nowhere")) as seen:
        pass
    assert {name: item["how"] for name, item in seen.found.items()} == {
        "../data/one": "declared",
        "../data/deep/two": "declared",
    }
    assert seen.watcher.trouble == ["the declared input ../nowhere is not there"]


def test_more_than_can_be_watched_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "FOLDERS", 3)
    monkeypatch.setattr(watch, "FILES", 2)
    for number in range(6):
        _old(tmp_path / f"project/{number}/file", "x")
        _old(tmp_path / f"project/file{number}", "x")
    with Watched(tmp_path) as seen:
        seen.shell("cat file*")
    assert len(seen.found) == 2
    assert [text.split(" ", 1)[0] for text in sorted(seen.watcher.trouble)] == ["more", "only"]


def test_a_hundred_folders_are_watched_for_little_work(tmp_path: Path) -> None:
    for folder in range(100):
        _old(tmp_path / f"project/{folder}/a", "x")
    begun = time.process_time()
    with Watched(tmp_path) as seen:
        work = time.process_time() - begun
        seen.shell("cat */a")
    assert len(seen.found) == 100
    assert work < 2


def test_who_reads(tmp_path: Path) -> None:
    file = tmp_path / "held"
    file.write_text("x")
    with file.open() as opened, subprocess.Popen(["sleep", "60"], stdin=opened) as child:
        opened.close()
        assert reader.holder(os.getpid(), str(file)) == child.pid
        assert not reader.has_ended(child.pid)
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert reader.has_ended(child.pid)
    assert reader.holder(os.getpid(), str(tmp_path / "other")) == 0


def test_a_system_that_gives_no_queue_is_said_and_nothing_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def refuse(self: object) -> None:
        raise ValueError("no such thing here")

    monkeypatch.setattr(inotify.Notify, "__init__", refuse)
    with Watched(tmp_path) as seen:
        pass
    assert seen.watcher.trouble == ["what other programs and compiled code read is not seen: no such thing here"]
    assert capfd.readouterr() == ("", "")
