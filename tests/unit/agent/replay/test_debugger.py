"""The debugger on a terminal of its own, in a program that fails: what it shows, and that it stops once."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.terminal import Terminal
from tests.measuring import measuring

REPOSITORY = Path(__file__).parents[4]
PROMPT = "(dsenv pdb) "
JOB = """
import sys
def weigh(values, scale):
    total = sum(values)
    return total / scale
def main(names):
    return weigh([1, 2], len(names))
{call}
"""
RUN = """
import json, runpy, sys
from dsenv.agent.replay import debugger
config = json.load(open(sys.argv.pop(1)))
stop = debugger.install(config)
try:
    runpy.run_path(sys.argv[1], run_name="__main__")
except SystemExit as error:
    stop(error.__context__ or error, "exit", lambda name, value: {"name": name, "preview": repr(value)})
    raise
"""
Start = Callable[..., Terminal]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """A program below the debugger, with what production knew of it."""
    opened: list[Terminal] = []

    def begin(call: str = "main('')", **config: Any) -> Terminal:
        app = tmp_path / "app"
        app.mkdir(exist_ok=True)
        (app / "job.py").write_text(JOB.format(call=call))
        local = {"name": "values", "type": "list", "preview": "[1, 2, 3]"}
        frames = [
            {"file": "/srv/app/job.py", "function": "main", "line": 7, "locals": [{"name": "names", "preview": "''"}]},
            {"file": "/srv/app/job.py", "function": "weigh", "line": 5, "locals": [local]},
        ]
        told = {"root": "/srv/app", "how": "uncaught", "exceptions": [frames], "blobs": {}}
        (tmp_path / "production.json").write_text(json.dumps(told))
        config = {"root": str(app), "production": str(tmp_path / "production.json")} | config
        (tmp_path / "config.json").write_text(json.dumps(config))
        env = [f"{name}={value}" for name, value in measuring().items()]
        words = [sys.executable, "-c", RUN, str(tmp_path / "config.json"), str(app / "job.py")]
        opened.append(Terminal(["env", f"PYTHONPATH={REPOSITORY}", *env, *words], app))
        return opened[-1]

    yield begin
    for terminal in opened:
        terminal.close()


def said(terminal: Terminal, line: str) -> str:
    terminal.type(line + "\n")
    return terminal.until(PROMPT)


def test_it_stops_in_the_users_frame_with_production_beside(start: Start) -> None:
    terminal = start()
    opening = terminal.until(PROMPT)
    assert "ZeroDivisionError" in opening
    assert "prod.x is production's local x" in opening
    assert "-> return total / scale" in opening
    assert "production's locals of weigh, line 5: values" in said(terminal, "p prod")
    compared = said(terminal, "compare")
    assert "production" in compared and "[1, 2, 3]" in compared and "[1, 2]\r\n" in compared
    assert "\r\n[1, 2, 3]\r\n" in said(terminal, "p prod.val\t")
    assert "'list'" in said(terminal, "p prod.values.ty\t")
    said(terminal, "up")
    assert "no local differs, of 1" in said(terminal, "compare")
    said(terminal, "up")
    assert "production was not in this function" in said(terminal, "compare")
    terminal.type("q\n")
    assert terminal.ended() == 1


def test_an_exit_in_a_handler_stops_where_it_was_raised(start: Start) -> None:
    terminal = start("try:\n    main('')\nexcept ZeroDivisionError:\n    sys.exit(3)")
    assert "-> return total / scale" in terminal.until(PROMPT)
    terminal.type("q\n")
    assert terminal.ended() == 3


def test_what_ran_out_of_files_is_lifted(start: Start) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (30, 64))"
    call = f"{limit}\nkept = [open('job.py') for _ in 'x' * 99]"
    terminal = start(call)
    assert "Too many open files" in terminal.until(PROMPT)
    assert "(64, 64)" in said(terminal, "p resource.getrlimit(resource.RLIMIT_NOFILE)")
    terminal.type("q\n")
    assert terminal.ended() == 1


def test_it_stops_once(start: Start, tmp_path: Path) -> None:
    stopped = tmp_path / "stopped"
    terminal = start(stopped=str(stopped))
    terminal.until(PROMPT)
    assert stopped.exists()
    terminal.type("q\n")
    terminal.ended()
    again = start(stopped=str(stopped))
    assert again.ended() == 1
    assert PROMPT not in again.shown


def test_the_programs_own_names_are_left_to_it(start: Start) -> None:
    terminal = start("prod = 7\nmain('')")
    assert "production.x is production's local x" in terminal.until(PROMPT)
    said(terminal, "up")
    said(terminal, "up")
    assert "\r\n7\r\n" in said(terminal, "p prod")
    terminal.type("q\n")
    assert terminal.ended() == 1
