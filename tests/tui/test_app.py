"""The application driven by keys, on real stores; what it looks like is in test_snapshots."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest
from textual.app import App, ComposeResult
from textual.events import Resize
from textual.pilot import Pilot
from textual.widgets import Input, TabbedContent

from dsenv.agent import schema
from dsenv.errors import StateError
from dsenv.events import Cancel, StepStarted
from dsenv.testing.records import RecordBuilder
from dsenv.tui import model
from dsenv.tui.app import DsenvApp
from dsenv.tui.bridge import Tell
from dsenv.tui.screens.run import RunScreen
from dsenv.tui.screens.runs import RunsScreen
from dsenv.tui.widgets.locals import LocalsTable
from dsenv.tui.widgets.output import OutputView
from dsenv.tui.widgets.profile import ProfileTable
from dsenv.tui.widgets.runs_list import RunsList
from tests.integration.capturing import capture
from tests.tui.settling import settled

Script = Callable[[DsenvApp, Pilot[int]], Awaitable[None]]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    for number, command in enumerate((["python", "train.py"], ["python", "score.py", "--fast"])):
        builder = RecordBuilder(tmp_path / "store", f"20260301T10150{number}-000001-abcd")
        builder.record["command"] = command
        builder.write()
    return tmp_path / "store"


def play(app: DsenvApp, script: Script, size: tuple[int, int] = (80, 24)) -> int | None:
    """Run a script against the application; returns the exit code."""

    async def session() -> None:
        async with app.run_test(size=size) as pilot:
            await settled(pilot)
            await script(app, pilot)

    asyncio.run(session())
    return app.return_value


def steps_of(app: DsenvApp) -> tuple[model.StepView, ...]:
    """Read anew each time: the state changes behind the back of a type checker."""
    return app.state.work.steps if app.state.work else ()


def problem_of(app: DsenvApp) -> model.Problem:
    return app.state.problem or model.Problem("none")


def saved_of(app: DsenvApp) -> str:
    return app.state.saved.working_tree if app.state.saved else ""


def test_filter_open_and_back(store: Path) -> None:
    async def script(app: DsenvApp, pilot: Pilot[int]) -> None:
        assert isinstance(app.screen, RunsScreen)
        assert len(app.screen.query_one(RunsList).runs) == 2
        await pilot.press("slash", *"fast")
        assert len(app.screen.query_one(RunsList).runs) == 1
        await pilot.press("enter", "enter")
        await settled(pilot)
        assert isinstance(app.screen, RunScreen)
        assert app.state.details is not None and "score.py" in app.state.details.record["command"]
        await pilot.press("escape")
        assert isinstance(app.screen, RunsScreen)
        assert app.screen.query_one(Input).value == "fast"
        await pilot.press("escape")
        assert len(app.screen.query_one(RunsList).runs) == 2
        await pilot.press("q")

    assert play(DsenvApp(None, str(store)), script) == 0


def test_a_run_on_the_command_line_is_opened_at_once(store: Path) -> None:
    async def script(app: DsenvApp, pilot: Pilot[int]) -> None:
        assert isinstance(app.screen, RunScreen)
        assert app.state.selected is not None and app.state.selected.frame is not None
        assert app.state.selected.frame["function"] == "load"
        await pilot.press("down")
        assert app.state.selected.frame["function"] == "main"
        for number, name in enumerate(("failure", "output", "inputs", "differences", "record"), 1):
            await pilot.press(str(number))
            assert app.screen.query_one(TabbedContent).active == name
        await pilot.press("a")
        assert app.state.all_frames
        await pilot.press("escape")
        await settled(pilot)
        assert isinstance(app.screen, RunsScreen) and len(app.state.runs) == 2

    play(DsenvApp("last-failed", str(store)), script)


def test_an_unknown_run_shows_its_error_above_the_list(store: Path) -> None:
    async def script(app: DsenvApp, pilot: Pilot[int]) -> None:
        await settled(pilot)
        assert isinstance(app.screen, RunsScreen)
        assert app.state.problem is not None and "has no run zzzz" in app.state.problem.message

    play(DsenvApp("zzzz", str(store)), script)


def test_an_empty_store_says_so(tmp_path: Path) -> None:
    async def script(app: DsenvApp, pilot: Pilot[int]) -> None:
        assert "no failed runs" in str(app.screen.query_one("#heading").render())

    (tmp_path / "empty").mkdir()
    play(DsenvApp(None, str(tmp_path / "empty")), script)


def test_long_work_shows_its_steps_and_can_be_cancelled(store: Path) -> None:
    def endless(emit: Tell, cancel: Cancel) -> model.Message:
        emit(StepStarted("run", "run it again"))
        while True:
            cancel.wait(1)
            cancel.check()

    async def script(app: DsenvApp, pilot: Pilot[int]) -> None:
        app._work("reproduce", "x", endless)
        await asyncio.sleep(0.1)
        await pilot.pause()
        assert [step.title for step in steps_of(app)] == ["run it again"]
        await pilot.press("1")  # keys are answered while work goes on
        await pilot.press("escape")
        await settled(pilot)
        assert steps_of(app) == ()
        assert isinstance(app.screen, RunScreen)

    play(DsenvApp("last-failed", str(store)), script)


def test_errors_and_bugs_of_work_are_shown(store: Path) -> None:
    def broken(emit: Tell, cancel: Cancel) -> model.Message:
        raise StateError("the disk is full", hint="free some space")

    def bug(emit: Tell, cancel: Cancel) -> model.Message:
        raise KeyError("x")

    async def script(app: DsenvApp, pilot: Pilot[int]) -> None:
        app._work("reproduce", "x", broken)
        await settled(pilot)
        assert problem_of(app) == model.Problem("the disk is full", "free some space")
        app._work("reproduce", "x", bug)
        await settled(pilot)
        assert "a bug in dsenv: KeyError" in problem_of(app).message

    play(DsenvApp("last-failed", str(store)), script)


def test_quitting_stops_the_work(store: Path) -> None:
    ended = []

    def endless(emit: Tell, cancel: Cancel) -> model.Message:
        try:
            while True:
                cancel.wait(1)
                cancel.check()
        finally:
            ended.append(True)

    async def script(app: DsenvApp, pilot: Pilot[int]) -> None:
        app._work("reproduce", "x", endless)
        await pilot.press("q")

    play(DsenvApp("last-failed", str(store)), script)
    assert ended == [True]


def test_hostile_text_is_shown_and_not_obeyed(tmp_path: Path) -> None:
    builder = RecordBuilder(tmp_path / "store")
    builder.record["command"] = ["python", "\x1b]0;owned\x07[red]x[/red]"]
    builder.chunks = [(1, b"\x1b[2J[bold]not markup[/bold]\n")]
    builder.write()

    async def script(app: DsenvApp, pilot: Pilot[int]) -> None:
        title = str(app.screen.query_one("#title").render())
        assert "\x1b" not in title and "[red]x[/red]" in title
        await pilot.press("2")
        await pilot.pause()
        assert "\x1b" not in app.export_screenshot()

    play(DsenvApp("last-failed", str(tmp_path / "store")), script)


def test_a_terminal_that_cannot_be_given_away_is_said(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a browser, where no editor and no pdb can be shown."""
    (tmp_path / "train.py").write_text("\n")
    (tmp_path / "dsenv.toml").write_text('[project]\nname = "p"\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDITOR", "true")

    async def script(app: DsenvApp, pilot: Pilot[int]) -> None:
        await pilot.press("enter")
        await settled(pilot)
        await pilot.press("p")
        await settled(pilot)
        assert "cannot be given to another program" in problem_of(app).message

    play(DsenvApp(None, str(store)), script)


def _table(name: str, oak: int) -> dict[str, Any]:
    column = {"name": "material", "dtype": "object", "nulls": 0, "unique": 2, "top": {"oak": oak, "elm": 1}}
    return {"name": name, "type": "pandas.DataFrame", "shape": [oak + 1, 1], "preview": "...", "columns": [column]}


def _with_table(folder: Path) -> str:
    builder = RecordBuilder(folder)
    for error in builder.frames["failures"][0]["exceptions"]:
        for frame in error["frames"]:
            frame["locals"] = [{"name": "n", "type": "int", "preview": "1"}, _table("orders", 40)]
    builder.write()
    return str(folder)


def test_a_table_is_opened_with_enter_and_left_with_escape(tmp_path: Path) -> None:
    async def script(app: DsenvApp, pilot: Pilot[int]) -> None:
        locals_, profile = app.screen.query_one(LocalsTable), app.screen.query_one(ProfileTable)

        def focused() -> str:
            return app.focused.id or "" if app.focused else ""

        locals_.focus()
        await pilot.press("enter")
        assert focused() == "locals", "a number has no columns"
        await pilot.press("down", "enter")
        assert focused() == "table"
        assert (profile.display, locals_.display) == (True, False)
        assert [str(cell) for cell in profile.get_row_at(0)] == [
            "material",
            "object",
            "0",
            "2",
            "-",
            "-",
            "oak 40, elm 1",
        ]
        await pilot.press("escape")
        assert focused() == "locals"
        await pilot.press("down", "enter")  # a row of one of its columns
        assert focused() == "table"
        app.screen.query_one("#frames").focus()
        await pilot.press("escape")
        assert isinstance(app.screen, RunScreen)

    play(DsenvApp("last-failed", _with_table(tmp_path / "store")), script)


def test_columns_that_differ_have_a_row_for_each_side(tmp_path: Path) -> None:
    class Shows(App[None]):
        def compose(self) -> ComposeResult:
            yield ProfileTable(id="table")

    async def session() -> None:
        async with Shows().run_test() as pilot:
            table = pilot.app.query_one(ProfileTable)
            table.show(cast("schema.Local", _table("t", 40)), cast("schema.Local", _table("t", 39)))
            rows = [table.get_row_at(number) for number in range(table.row_count)]
            assert [[str(cell) for cell in row[:2]] for row in rows] == [["material", "there"], ["", "here"]]
            assert [cell.style for cell in rows[0][2:]] == ["", "", "", "", "", "yellow"]

    asyncio.run(session())


def test_a_small_terminal_shows_the_line_that_failed(tmp_path: Path) -> None:
    async def script(app: DsenvApp, pilot: Pilot[int]) -> None:
        await pilot.pause()
        assert "raise" in app.export_screenshot().replace("&#160;", " ")
        assert not app.screen.query_one(LocalsTable).display
        await pilot.resize_terminal(80, 24)
        await pilot.pause()
        assert app.screen.query_one(LocalsTable).display

    play(DsenvApp("last-failed", _with_table(tmp_path / "store")), script, size=(40, 10))


def test_a_run_is_saved_as_a_test_where_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "app"
    (root / "tests").mkdir(parents=True)
    (root / "pyproject.toml").touch()
    (root / "job.py").write_text("def parse(text):\n    return int(text)\n\n\nparse('x')\n")
    capture(tmp_path / "store", [sys.executable, "job.py"], cwd=root)
    monkeypatch.chdir(root)

    async def script(app: DsenvApp, pilot: Pilot[int]) -> None:
        await pilot.press("t")
        assert app.screen.query_one(Input).value == "tests/test_app_value_error_in_parse.py"
        await pilot.press("escape", "t", "enter")
        for _ in range(300):
            if saved_of(app) or app.state.problem is not None:
                break
            await asyncio.sleep(0.1)
        await pilot.pause()
        assert problem_of(app).message == "none"
        assert saved_of(app) == "fails"
        assert "not fixed yet" in str(app.screen.query_one("#work").render())
        assert [result.verdict for result in app.state.reproductions] == ["same-failure"]

    play(DsenvApp("last-failed", str(tmp_path / "store")), script)
    assert "def test_app_value_error_in_parse(" in (root / "tests" / "test_app_value_error_in_parse.py").read_text()


def test_a_resize_does_not_bring_an_older_state_back(store: Path) -> None:
    """The output is scanned between a resize and what is drawn after it."""

    async def script(app: DsenvApp, pilot: Pilot[int]) -> None:
        lines, screen, run = app.state.lines, app.screen, app._open_run_id()
        assert lines is not None and isinstance(screen, RunScreen)
        app.state = dataclasses.replace(app.state, lines=None)
        screen.on_resize(Resize(app.size, app.size))
        app.update(model.OutputScanned(run, lines))
        await pilot.pause()
        assert [part.heading for part in screen.query_one(OutputView)._parts] == ["production (44 B, 3 lines)"]

    play(DsenvApp("last-failed", str(store)), script)
