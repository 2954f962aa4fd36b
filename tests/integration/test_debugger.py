"""`reproduce --pdb` on a real terminal, from the command line and from the TUI."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dsenv.agent.replay import cgroup
from tests.integration.capturing import capture
from tests.integration.terminal import Terminal

PROMPT = "(dsenv pdb) "
_DSENV = [sys.executable, "-m", "dsenv"]
_JOB = """import json
import sys


def parse(line, scale):
    event = json.loads(line)
    weights = [1, 2, event["count"]]
    return sum(weights) / scale


def main():
    for number, line in enumerate(sys.stdin):
        parse(line, 3 - number)


main()
"""
Debug = Callable[..., Terminal]


@pytest.fixture
def debug(tmp_path: Path) -> Iterator[Debug]:
    """Capture a program where it has a terminal of nobody, then debug it on one."""
    opened: list[Terminal] = []

    def start(program: str, *arguments: str, stdin: bytes = b"", options: tuple[str, ...] = ("--pdb",)) -> Terminal:
        app = tmp_path / "app"
        app.mkdir()
        (app / "pyproject.toml").touch()
        (app / "job.py").write_text(program)
        settings: dict[str, Any] = {"stdin": None, "input": stdin} if stdin else {}
        capture(tmp_path / "store", [sys.executable, "job.py", *arguments], cwd=app, **settings)
        words = [*_DSENV, "reproduce", "last", "--store", str(tmp_path / "store"), *options]
        opened.append(Terminal(words, app))
        return opened[-1]

    yield start
    for terminal in opened:
        terminal.close()


def test_production_is_beside_the_frame_and_the_program_has_its_input(debug: Debug) -> None:
    terminal = debug(_JOB, stdin=b'{"count": 1}\n{"count": 2}\n{"count": 5}\n{"count": 7}\n')
    opening = terminal.until(PROMPT)
    assert "ZeroDivisionError" in opening.split("prod.x is production's")[0], "the traceback comes first"
    assert "-> return sum(weights) / scale" in opening
    terminal.type("p prod.weights, prod.weights[2].type, prod.event['count'].value + 1\n")
    assert "([1, 2, 7], 'int', 8)" in terminal.until(PROMPT)
    terminal.type("compare\n")
    assert "no local differs, of 4" in terminal.until(PROMPT)
    terminal.type("weights = 0\n")
    terminal.until(PROMPT)
    terminal.type("compare\n")
    assert "weights  [1, 2, 7]" in terminal.until(PROMPT)
    terminal.type("up\n")
    terminal.until(PROMPT)
    terminal.type("p prod.nu\t\n")  # completed to prod.number
    assert "\r\n3\r\n" in terminal.until(PROMPT)
    terminal.type("p prod.weights\n")
    assert "production has no local 'weights' in this frame" in terminal.until(PROMPT)
    terminal.type("\x03")
    terminal.type("\n")  # a ^C that comes in the moment before readline waits is seen with the next key
    terminal.until("--KeyboardInterrupt--")
    terminal.until(PROMPT)
    terminal.type("q\n")
    assert "verdict     same-failure" in terminal.until("same failure")
    assert terminal.ended() == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "line"),
    [
        ("try:\n    a = {}\n    a['x']\nexcept KeyError:\n    raise SystemExit(3)\n", "-> a['x']"),
        (
            "try:\n    a = {}\n    a['x']\nexcept KeyError as e:\n    raise ValueError('chained') from e\n",
            "-> raise Value",
        ),
        ("import os\ntry:\n    [][1]\nexcept IndexError:\n    os._exit(4)\n", "-> [][1]"),
        ("import sys\nsys.excepthook = lambda *a: None\nprod = 7\n[][prod]\n", "-> [][prod]"),
        (
            "import threading\nt = threading.Thread(target=lambda: 1 / 0)\nt.start(); t.join()\nraise SystemExit(6)",
            "1 / 0",
        ),
    ],
    ids=["handler", "chain", "os-exit", "own-hook", "thread"],
)
def test_it_stops_where_the_failure_is_however_the_program_ends(debug: Debug, program: str, line: str) -> None:
    terminal = debug(program)
    opening = terminal.until(PROMPT)
    assert line in opening
    assert ("production.x is" if "prod = 7" in program else "prod.x is") in opening
    terminal.type("q\n")
    terminal.until("same-failure")
    assert terminal.ended() == 0


def test_where_nothing_can_stop_the_reason_is_said(debug: Debug) -> None:
    terminal = debug("import os\nos.kill(os.getpid(), 11)\n")
    terminal.until("pdb         a process that dies by SIGSEGV leaves no frame")
    assert terminal.ended() == 0


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux" or not cgroup.available("memory"), reason="no control group may be made")
def test_a_killed_run_stops_in_its_second_run(debug: Debug, tmp_path: Path) -> None:
    within = Path(__file__).parents[1] / "zoo" / "within.py"
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "pyproject.toml").touch()
    (tmp_path / "app" / "job.py").write_text("rows = []\nwhile True:\n    rows.append(bytearray(b'x' * 20_000_000))\n")
    words = [sys.executable, str(within), "250000000", *_DSENV, "capture", "--store", str(tmp_path / "store"), "--"]
    subprocess.run([*words, sys.executable, "job.py"], cwd=tmp_path / "app", check=False, stdin=subprocess.DEVNULL)
    terminal = Terminal([*_DSENV, "reproduce", "last", "--store", str(tmp_path / "store"), "--pdb"], tmp_path / "app")
    try:
        assert "-> rows.append" in terminal.until(PROMPT)
        terminal.type("p len(rows) > 3\n")
        assert "True" in terminal.until(PROMPT)
        terminal.type("q\n")
        terminal.until("same-failure")
        assert terminal.ended() == 0
    finally:
        terminal.close()


def test_the_tui_gives_the_terminal_away_and_takes_it_back(debug: Debug) -> None:
    terminal = debug(_JOB, stdin=b'{"count": 1}\n{"count": 2}\n{"count": 5}\n{"count": 7}\n', options=())
    terminal.until("Fixed?")
    terminal.type("p")
    terminal.until(PROMPT)
    terminal.type("p prod.event\n")
    assert "{'count': 7}" in terminal.until(PROMPT)
    terminal.type("q\n")
    terminal.until("same-failure")
    terminal.type("q")
    assert terminal.ended() == 0
