"""The hook, started by hand in a Python of its own, as sitecustomize starts it."""

from __future__ import annotations

import builtins
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsenv.agent.capture.hook import events, imports, tracebacks
from dsenv.agent.capture.hook.files import Inputs
from dsenv.agent.capture.hook.opener import Opener
from dsenv.agent.capture.spool import Spool

START = "import sys\nfrom dsenv.agent.capture.hook import program\nprogram.start(sys.argv[1])\n"


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    made = Spool.make({"TMPDIR": str(tmp_path)}, None)
    made.fill(
        {"copies": made.copies, "root": str(tmp_path), "cap": "1000", "total": "1500",
         "ignored": made.folder, "seed": "5",
         "replay": "", "agent": ""}
    )  # fmt: skip
    return made


def run(
    spool: Spool, body: str, cwd: Path, **env: str
) -> tuple[subprocess.CompletedProcess[str], list[dict[str, Any]]]:
    code = START + body
    done = subprocess.run(
        [sys.executable, "-c", code, spool.hook],
        check=False, capture_output=True, text=True, cwd=cwd, env=os.environ | env, timeout=60,
    )  # fmt: skip
    # What measures the coverage of this very process opens files too.
    files = ("input", "written")
    return done, [event for event in spool.events() if event["e"] not in files or event["path"].startswith(str(cwd))]


def of_kind(found: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event for event in found if event["e"] == kind]


def test_it_says_which_python_it_is(spool: Spool, tmp_path: Path) -> None:
    _, found = run(spool, "", tmp_path)
    (python,) = of_kind(found, "python")
    assert python["version"] == ".".join(map(str, sys.version_info[:3]))
    assert spool.hook not in python["path"]


def test_files_are_copied_when_they_are_opened_and_once(spool: Spool, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("first")
    (tmp_path / "big.bin").write_bytes(b"x" * 1001)
    (tmp_path / "mid.bin").write_bytes(b"y" * 996)
    body = """
import os, io, pathlib
for _ in range(3): open('a.txt').close()
pathlib.Path('a.txt').write_text('second')
open('big.bin', 'rb').close()
os.close(os.open('mid.bin', os.O_RDONLY))
open(b'mid.bin').close()
for name in ('no.txt', 'no.txt', 'dir/no.txt'):
    try: open(name)
    except FileNotFoundError: pass
open('new.txt', 'w').close(); open('new.txt').close()
open('appended.txt', 'a').close()
open('empty.txt', 'x').close()
open(0); open('/dev/null').close(); open(os.__file__).close(); open('/etc/passwd').close()
for bad in (None, 3.5, 'a\\0b'):
    try: open(bad)
    except (TypeError, ValueError, OSError): pass
try: open()
except TypeError as error: print(error)
try: os.open('x', 'r')
except TypeError: pass
fd = os.open('.', os.O_RDONLY | os.O_DIRECTORY); os.close(os.open('a.txt', os.O_RDONLY, dir_fd=fd))
os.close(os.open('made.bin', os.O_RDWR | os.O_CREAT | os.O_EXCL))
"""
    done, found = run(spool, body, tmp_path)
    assert done.returncode == 0, done.stderr
    read = {os.path.basename(event["path"]): event for event in of_kind(found, "input")}
    copied = {name: Path(spool.copies, event["copy"]).read_bytes() for name, event in read.items() if "copy" in event}
    assert copied == {"a.txt": b"first", "mid.bin": b"y" * 996}
    assert read["big.bin"]["note"] == "larger than the cap"
    assert read["no.txt"]["missing"] is True and read["appended.txt"]["missing"] is True
    assert set(read) == {"a.txt", "big.bin", "mid.bin", "no.txt", "appended.txt"}
    assert len([event for event in of_kind(found, "input") if event["path"].endswith("/no.txt")]) == 2
    assert {os.path.basename(e["path"]) for e in of_kind(found, "written")} == {
        "a.txt", "new.txt", "appended.txt", "empty.txt", "made.bin",
    }  # fmt: skip


def test_all_inputs_together_have_a_cap(spool: Spool, tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_bytes(b"z" * 900)
    _, found = run(spool, "open('a').close(); open('b').close()", tmp_path)
    first, second = of_kind(found, "input")
    assert "copy" in first and "together" in second["note"]


def test_databases_are_inputs(spool: Spool, tmp_path: Path) -> None:
    (tmp_path / "x.db").touch()
    (tmp_path / "x.db-wal").touch()
    body = "import sqlite3\nfor name in ('x.db', ':memory:', 'file:x.db?mode=ro'): sqlite3.connect(name, uri=True)"
    _, found = run(spool, body, tmp_path)
    assert [(os.path.basename(e["path"]), e["how"]) for e in of_kind(found, "input")] == [
        ("x.db", "sqlite"), ("x.db-wal", "sqlite"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "hows"),
    [
        ("1/0", ["uncaught"]),
        ("sys.excepthook = lambda *a: None\n1/0", ["uncaught"]),
        ("try: 1/0\nexcept ZeroDivisionError: sys.exit(3)", ["exit"]),
        ("try: 1/0\nexcept ZeroDivisionError: sys.exit('words')", ["exit"]),
        ("try: 1/0\nexcept ZeroDivisionError: sys.exit(0)", []),
        ("try: 1/0\nexcept ZeroDivisionError: raise SystemExit(3)", ["exit"]),
        ("try: 1/0\nexcept ZeroDivisionError as error: raise SystemExit(3) from error", ["exit"]),
        ("try: 1/0\nexcept ZeroDivisionError:\n try: sys.exit(1)\n except SystemExit: sys.exit(2)", ["exit"]),
        ("import os\ntry: 1/0\nexcept ZeroDivisionError: os._exit(3)", ["exit"]),
        ("try: 1/0\nexcept ZeroDivisionError:\n try: sys.exit(1)\n except SystemExit as e: print(e.code)", []),
        ("class A:\n def __del__(self): 1/0\nA()", ["unraisable"]),
        ("import logging\ntry: 1/0\nexcept Exception: logging.getLogger('a').exception('b')", ["logged"]),
        ("import logging\nlogging.warning('nothing')", []),
        ("import threading\nt = threading.Thread(target=sys.exit)\nt.start(); t.join()", []),
        ("import threading\nt = threading.Thread(target=lambda: 1/0)\nt.start(); t.join()", ["thread"]),
    ],
)
def test_failures(spool: Spool, tmp_path: Path, body: str, hows: list[str]) -> None:
    _, found = run(spool, body, tmp_path)
    failures = [event["failure"] for event in of_kind(found, "failure")]
    assert [item["how"] for item in failures] == hows
    assert all(item["exceptions"][0]["type"] == "ZeroDivisionError" for item in failures)


def test_an_interrupt_while_the_end_is_described_is_not_seen(spool: Spool, tmp_path: Path) -> None:
    body = """
class Late(Exception):
    asked = False
    def __str__(self):
        if not Late.asked:
            Late.asked = True
            raise KeyboardInterrupt
        return 'the last word'
raise Late
"""
    done, found = run(spool, body, tmp_path)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, "Late: the last word")
    assert "excepthook" not in done.stderr
    assert "KeyboardInterrupt" in of_kind(found, "trouble")[0]["text"]


def test_of_many_logged_exceptions_the_last_is_written_at_the_end(spool: Spool, tmp_path: Path) -> None:
    body = "import logging\nfor n in range(60):\n try: 1/0\n except Exception: logging.exception(n)"
    _, found = run(spool, body, tmp_path)
    failures = [event["failure"] for event in of_kind(found, "failure")]
    assert len(failures) == 51
    assert failures[0]["exceptions"][0]["frames"][-1]["locals"]
    assert not failures[-1]["exceptions"][0]["frames"][-1]["locals"]


def test_our_frames_are_in_no_traceback(spool: Spool, tmp_path: Path) -> None:
    body = """
import logging, traceback, threading
def f(): open('/nowhere/x')
try: f()
except OSError:
    traceback.print_exc(); logging.exception('x'); print(traceback.format_exc())
t = threading.Thread(target=f); t.start(); t.join()
f()
"""
    done, _ = run(spool, body, tmp_path)
    shown = done.stdout + done.stderr
    assert shown.count("No such file") == 5
    assert "hook" not in shown


def test_the_variables_of_ours_are_hidden_but_passed_on(spool: Spool, tmp_path: Path) -> None:
    body = """
import os, subprocess
show = "import os; print(os.environ.get('PYTHONPATH'), os.environ.get('PYTHONHASHSEED'))"
print(os.environ.get('PYTHONPATH'), os.environ.get('PYTHONHASHSEED'), flush=True)
for env in (None, {}, dict(os.environ), {'PYTHONPATH': '/own', 'PYTHONHASHSEED': '9'}):
    subprocess.run([sys.executable, '-S', '-c', show], env=env)
os.spawnve(os.P_WAIT, sys.executable, [sys.executable, '-S', '-c', show], {})
pid = os.posix_spawn(sys.executable, [sys.executable, '-S', '-c', show], {}); os.waitpid(pid, 0)
try: os.execve('/no/such', ['x'], 5)
except TypeError as error: print(error)
"""
    env = {"PYTHONPATH": f"{spool.hook}:{os.environ.get('PYTHONPATH', os.getcwd())}", "PYTHONHASHSEED": "5"}
    repository = str(Path(__file__).parents[4])
    env["PYTHONPATH"] = f"{spool.hook}:{repository}"
    done = subprocess.run(
        [sys.executable, "-S", "-c", START + body, spool.hook],
        check=False, capture_output=True, text=True, cwd=tmp_path, env=env, timeout=60,
    )  # fmt: skip
    assert done.stdout.splitlines() == [
        f"{repository} None",
        f"{spool.hook}:{repository} 5",
        f"{spool.hook} 5",
        f"{spool.hook}:{repository} 5",
        f"{spool.hook}:/own 9",
        f"{spool.hook} 5",
        f"{spool.hook} 5",
        "execve: environment must be a mapping object",
    ], done.stderr


def test_a_program_that_closes_our_file_loses_nothing_and_gets_nothing_of_ours(spool: Spool, tmp_path: Path) -> None:
    body = """
import os
os.closerange(3, 2000)
mine = [os.dup(os.open('mine', os.O_RDWR | os.O_CREAT)) for _ in range(3)]
os.dup2(mine[0], 1000)
1/0
"""
    _, found = run(spool, body, tmp_path)
    assert len(of_kind(found, "failure")) == 1
    assert (tmp_path / "mine").read_bytes() == b""


def test_a_forked_child_tells_its_own_story(spool: Spool, tmp_path: Path) -> None:
    body = "import os\nif os.fork() == 0: open('/nowhere')\nos.wait(); sys.exit(1)"
    _, found = run(spool, body, tmp_path)
    failed, _parents_exit = of_kind(found, "failure")
    (python,) = of_kind(found, "python")
    assert failed["failure"]["ppid"] == python["pid"]


def test_a_replay_prepares_python_first(spool: Spool, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "f").write_text("redirected")
    config = tmp_path / "replay.json"
    config.write_text(
        json.dumps({"paths": [["/recorded/place", str(tmp_path / "there")]], "debug": False, "root": "/"})
    )
    repository = str(Path(__file__).parents[4])
    settings = Path(spool.hook, "settings")
    settings.write_text(
        settings.read_text().replace("replay\t", f"replay\t{config}").replace("agent\t", f"agent\t{repository}")
    )
    done, _ = run(spool, "print(open('/recorded/place/f').read())", tmp_path)
    assert done.stdout == "redirected\n", done.stderr


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(PLAIN)
def test_our_json_is_json(value: Any) -> None:
    assert json.loads(events.to_json(value)) == value


def test_our_json_of_what_json_has_not() -> None:
    assert json.loads(events.to_json([float("nan"), float("inf"), (1, 2), "\udcff"])) == [
        "nan",
        "inf",
        [1, 2],
        "\udcff",
    ]


def test_what_stands_for_open_is_like_it() -> None:
    opener = Opener(builtins.open, lambda *a, **k: None)
    holder = type("Holder", (), {"method": opener})
    with holder().method(__file__) as file:
        assert file.readline()
    assert repr(opener) == repr(builtins.open) and opener.__name__ == "open" and opener.__reduce__() == "open"


def test_inputs_never_raise(tmp_path: Path) -> None:
    class Full:
        def write(self, value: Any) -> None:
            raise OSError(28, "No space left on device")

    file = tmp_path / "data"
    file.write_text("x")
    settings = {"copies": "/nowhere", "root": "/", "cap": "10", "total": "10", "ignored": ""}
    inputs = Inputs(Full(), settings)  # type: ignore[arg-type]
    inputs.opened(str(file), True, True, "open")
    inputs.opened(object(), True, True, "open")
    assert inputs._written == set() or str(file) in inputs._written


def test_an_import_that_nobody_can_do_stays_undone() -> None:
    done: list[str] = []
    finder = imports.AfterImport({"no_such_module_here": lambda module: done.append("x")})
    assert finder.find_spec("json") is None
    assert finder.find_spec("no_such_module_here") is None
    spec = imports.AfterImport({"colorsys": lambda module: done.append(module.__name__)}).find_spec("colorsys")
    assert spec is not None
    module = type(sys)("colorsys")
    spec.loader.exec_module(module)
    assert done == ["colorsys"] and module.rgb_to_hsv


def test_stripping_keeps_the_frames_of_others() -> None:
    def fail() -> None:
        raise KeyError

    try:
        fail()
    except KeyError as error:
        before = error.__traceback__
        tracebacks.strip_all(error)
        assert error.__traceback__ is before
    tracebacks.strip_all(None)
