"""Each program of the zoo is captured; its record says what a reproduction needs."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dsenv.agent import signature
from dsenv.runs import index, restore
from dsenv.runs.record import Record
from dsenv.runs.store.folder import FolderStore
from tests.measuring import unmeasured
from tests.zoo.case import Case, prepare
from tests.zoo.cases import CASES


def run(case: Case, root: Path, store: Path) -> subprocess.CompletedProcess[bytes]:
    """Capture a case's command in its folder."""
    capture = [sys.executable, "-m", "dsenv.agent", "capture", "--store", str(store), *case.options, "--"]
    return subprocess.run(
        case.surrounded([*capture, *case.argv(root)]),
        cwd=root,
        env=unmeasured() | dict(case.env),
        input=case.stdin,
        stdin=subprocess.DEVNULL if case.stdin is None else None,
        capture_output=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_failing_program_leaves_what_a_reproduction_needs(case: Case, tmp_path: Path) -> None:
    if not case.needs():
        pytest.skip("this machine cannot play that one")
    root, store = prepare(case, tmp_path), tmp_path / "store"
    bare = subprocess.run(
        case.surrounded([*case.bare, *case.argv(root)]),
        cwd=root,
        env=unmeasured() | dict(case.env),
        input=case.stdin,
        capture_output=True,
        check=False,
    )
    root = prepare(case, tmp_path / "again")
    captured = run(case, root, store)
    # `timeout` kills itself as well, and a shell would say 137.
    ended = 128 - bare.returncode if case.bare and bare.returncode < 0 else bare.returncode
    assert captured.returncode == case.returncode == ended
    if case.silent:
        assert captured.stdout == bare.stdout
        assert captured.stderr == bare.stderr.replace(str(tmp_path / "app").encode(), str(root).encode())

    record = _only(store)
    assert record.data["status"] == "failed"
    assert record.data["exit"] == case.exit
    assert record.data["command"] == case.argv(root)
    assert record.data["trouble"] == []
    found = record.data["signature"]
    assert found is not None
    expected = case.signature | ({"message": found["message"]} if case.chance else {})
    assert signature.same(found, expected), found
    if case.file:
        assert found["frame"] is not None
        place = (found["frame"]["file"], found["frame"]["function"], found["frame"]["line_text"])
        assert place == (case.file, case.function, case.line_text)
        primary = record.frames()["primary"]
        assert primary is not None
        frames = record.frames()["failures"][primary]["exceptions"][0]["frames"]
        assert [frame for frame in frames if frame.get("user")][-1]["source"]
    read = {os.path.relpath(item["path"], root) for item in record.inputs() if "blob" in item}
    assert set(case.inputs) <= read
    restore.verify(record)
    if case.stdin is not None:
        assert record.blob(record.data["stdin"]["blob"]) == case.stdin


@pytest.mark.slow
@pytest.mark.parametrize("terminal", [False, True], ids=["one-pipe", "terminal"])
@pytest.mark.parametrize("case", [case for case in CASES if case.silent], ids=lambda case: case.name)
def test_what_is_seen_is_the_same_in_one_pipe_and_on_a_terminal(case: Case, terminal: bool, tmp_path: Path) -> None:
    if not case.needs():
        pytest.skip("this machine cannot play that one")
    capture = [sys.executable, "-m", "dsenv.agent", "capture", "--store", str(tmp_path / "store"), *case.options, "--"]
    seen = []
    for name, words in (("1", list(case.bare)), ("2", capture)):
        root = prepare(case, tmp_path / name)
        code, data = _streamed(case, case.surrounded([*words, *case.argv(root)]), root, terminal)
        seen.append((code if code >= 0 or not case.bare else 128 - code, data.replace(bytes(root), b"<root>")))
    assert seen[1] == seen[0]


def _streamed(case: Case, words: list[str], root: Path, terminal: bool) -> tuple[int, bytes]:
    """The exit code, and what came on stdout and stderr together."""
    read, write = pty.openpty() if terminal else os.pipe()
    stdin = subprocess.DEVNULL if case.stdin is None else subprocess.PIPE
    with subprocess.Popen(
        words, cwd=root, env=unmeasured() | dict(case.env), stdin=stdin, stdout=write, stderr=write
    ) as process:
        os.close(write)
        if process.stdin is not None:
            process.stdin.write(case.stdin or b"")
            process.stdin.close()
        data = b""
        with contextlib.suppress(OSError):  # how the end of a terminal looks
            while block := os.read(read, 65536):
                data += block
    os.close(read)
    return process.returncode, data


def test_the_code_that_ran_is_kept_not_what_was_committed(tmp_path: Path) -> None:
    case = next(case for case in CASES if case.name == "dirty_code")
    root = prepare(case, tmp_path)
    run(case, root, tmp_path / "store")
    record = _only(tmp_path / "store")
    vcs = record.data["code"]["vcs"]
    assert vcs is not None
    assert (vcs["branch"], vcs["dirty"]) == ("main", True)
    case.afterwards(root)
    restore.code(record, tmp_path / "restored")
    assert "net / rate" in (tmp_path / "restored" / "price.py").read_text()
    assert (tmp_path / "restored" / "notes.txt").exists()


def test_an_input_is_kept_as_it_was_read_not_as_it_was_left(tmp_path: Path) -> None:
    case = next(case for case in CASES if case.name == "changed_input")
    root = prepare(case, tmp_path)
    run(case, root, tmp_path / "store")
    record = _only(tmp_path / "store")
    blobs = [record.blob(item["blob"]) for item in record.inputs() if item["path"].endswith("position.json")]
    assert blobs == [b'{"position": 0}\n']
    assert json.loads((root / "position.json").read_text()) == {"position": 0, "taken_from": 0}


def test_the_chain_and_its_links_are_kept(tmp_path: Path) -> None:
    case = next(case for case in CASES if case.name == "exception_chain")
    run(case, prepare(case, tmp_path), tmp_path / "store")
    (failure,) = _only(tmp_path / "store").frames()["failures"]
    chain: list[Any] = [(error["type"], error["link"]) for error in failure["exceptions"]]
    assert chain == [("__main__.LoadError", "context"), ("LookupError", "cause"), ("KeyError", None)]


def test_what_the_command_wrote_itself_is_not_an_input_of_its_later_steps(tmp_path: Path) -> None:
    case = next(case for case in CASES if case.name == "data_drift")
    root = prepare(case, tmp_path)
    (root / "score.py").write_text("open('made', 'w').write('1')\nopen('made').read()\nopen('batch.csv').read()\n1/0\n")
    run(case, root, tmp_path / "store")
    inputs = _only(tmp_path / "store").inputs()
    names = [os.path.relpath(item["path"], root) for item in inputs if item["path"].startswith(str(root))]
    assert names == ["batch.csv"]


def _only(store: Path) -> Record:
    opened = FolderStore(store)
    (found,) = index.newest(opened)
    return Record(opened, found.id)
