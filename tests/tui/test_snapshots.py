"""What people see, as pictures at the two sizes that matter. `pytest --snapshot-update` after a wanted change."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot

from dsenv.testing.records import RecordBuilder
from dsenv.tui import model
from dsenv.tui.app import DsenvApp
from dsenv.workflows.reproduce.model import Difference, Item, Reproduction
from dsenv.workflows.testfile.model import Saved
from tests.tui.settling import settled

SIZES = [(80, 24), (120, 36)]
Compare = Callable[..., bool]


@pytest.fixture
def store(tmp_path: Path) -> str:
    for number, command in enumerate((["python", "train.py"], ["python", "score.py", "--fast"])):
        builder = RecordBuilder(tmp_path / "store", f"20200301T10150{number}-000001-abcd")
        builder.record["command"] = command
        # Long ago, so that "how long ago" is in days and the same for years of test runs would differ: fixed text.
        builder.record["started"] = 0
        builder.inputs = [
            {"path": "/data/x.csv", "size": 2048, "blob": builder.blob(b"x")},
            {"path": "/no.csv", "missing": True},
        ]
        builder.write()
    return str(tmp_path / "store")


def reproduced(app: DsenvApp, verdict: str) -> Reproduction:
    details = app.state.details
    assert details is not None
    from dsenv.runs.index import summary

    same = verdict == "same-failure"
    lost = Item("env", "DB_PASSWORD", "its value was hidden in the record; a placeholder is set")
    return Reproduction(
        run=summary(details.record, "failed"),  # type: ignore[arg-type]
        verdict=verdict,  # type: ignore[arg-type]
        recorded=details.record["signature"],
        observed=details.record["signature"] if same else None,
        differences=() if same else (Difference("input", "/data/x.csv", "2 KiB", "3 KiB", "it was overwritten"),),
        restored=(Item("code", "/srv/app", "1 files as they ran"),),
        not_restored=(lost,),
        frames=details.frames,
        output=tuple(details.output),
    )


@pytest.mark.parametrize("size", SIZES)
def test_run_failure(snap_compare: Compare, store: str, size: tuple[int, int]) -> None:
    assert snap_compare(DsenvApp("last-failed", store), run_before=settled, terminal_size=size)


@pytest.mark.parametrize("size", SIZES)
def test_run_reproduced(snap_compare: Compare, store: str, size: tuple[int, int]) -> None:
    async def before(pilot: Pilot[int]) -> None:
        await settled(pilot)
        assert isinstance(pilot.app, DsenvApp)
        pilot.app.update(model.Reproduced(reproduced(pilot.app, "same-failure")))
        await pilot.pause()

    assert snap_compare(DsenvApp("last-failed", store), run_before=before, terminal_size=size)


@pytest.mark.parametrize("size", SIZES)
def test_run_differences(snap_compare: Compare, store: str, size: tuple[int, int]) -> None:
    async def before(pilot: Pilot[int]) -> None:
        await settled(pilot)
        assert isinstance(pilot.app, DsenvApp)
        pilot.app.update(model.Reproduced(reproduced(pilot.app, "passed")))
        await pilot.press("4")
        await pilot.pause()

    assert snap_compare(DsenvApp("last-failed", store), run_before=before, terminal_size=size)


@pytest.mark.parametrize("size", SIZES)
def test_work_in_progress(snap_compare: Compare, store: str, size: tuple[int, int]) -> None:
    from dsenv import events

    async def before(pilot: Pilot[int]) -> None:
        await settled(pilot)
        assert isinstance(pilot.app, DsenvApp)
        for told in (
            model.WorkStarted("reproduce", "x"),
            events.StepStarted("verify", "verify the record"),
            events.StepFinished("verify", "verify the record", 0.2, "3.1 MB"),
            events.StepStarted("environment", "environment"),
            events.Progress("environment", 3, 9, "packages"),
        ):
            pilot.app.update(told)
        await pilot.pause()

    assert snap_compare(DsenvApp("last-failed", store), run_before=before, terminal_size=size)


@pytest.mark.parametrize("page", ["2", "3", "5"])
def test_pages(snap_compare: Compare, store: str, page: str) -> None:
    async def before(pilot: Pilot[int]) -> None:
        await settled(pilot)
        await pilot.press(page)
        await pilot.pause()

    assert snap_compare(DsenvApp("last-failed", store), run_before=before, terminal_size=(80, 24))


@pytest.mark.parametrize("size", SIZES)
def test_list(snap_compare: Compare, store: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1_000_000.0)  # how long ago is part of the picture
    app = DsenvApp(None, store)

    async def before(pilot: Pilot[int]) -> None:
        await settled(pilot)
        app.state = dataclasses.replace(app.state, store="/srv/runs")
        app.update(model.Filtered(""))
        await pilot.pause()

    assert snap_compare(app, run_before=before, terminal_size=size)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("fixed", [True, False])
def test_is_it_fixed(snap_compare: Compare, store: str, size: tuple[int, int], fixed: bool) -> None:
    async def before(pilot: Pilot[int]) -> None:
        await settled(pilot)
        assert isinstance(pilot.app, DsenvApp)
        result = reproduced(pilot.app, "passed" if fixed else "same-failure")
        pilot.app.update(model.Reproduced(dataclasses.replace(result, code="working-tree")))
        await pilot.pause()

    assert snap_compare(DsenvApp("last-failed", store), run_before=before, terminal_size=size)


@pytest.mark.parametrize("size", SIZES)
def test_table(snap_compare: Compare, store: str, size: tuple[int, int]) -> None:
    async def before(pilot: Pilot[int]) -> None:
        await settled(pilot)
        assert isinstance(pilot.app, DsenvApp)
        result = reproduced(pilot.app, "same-failure")
        frames = copy.deepcopy(result.frames)
        assert frames is not None
        for frame in frames["failures"][0]["exceptions"][0]["frames"]:
            for local in frame.get("locals", []):
                for column in local.get("columns", []):
                    column.update({"top": {"Ulm": 1}, "unique": 1} if column["dtype"] == "object" else {"max": 9})
        pilot.app.update(model.Reproduced(dataclasses.replace(result, frames=frames)))
        pilot.app.update(model.TablePicked("table"))
        await pilot.pause()

    assert snap_compare(DsenvApp("last-failed", store), run_before=before, terminal_size=size)


@pytest.mark.parametrize("size", SIZES)
def test_saved_as_a_test(snap_compare: Compare, store: str, size: tuple[int, int]) -> None:
    async def before(pilot: Pilot[int]) -> None:
        await settled(pilot)
        assert isinstance(pilot.app, DsenvApp)
        file = Path("/home/me/app/tests/test_app_value_error_in_load.py")
        reduced = ("28 of 28 environment variables", "all but 2 of the 10,000 lines of batch.csv")
        saved = Saved(reproduced(pilot.app, "same-failure"), file, file.stem, (file,), None, reduced, "pytest", "fails")
        pilot.app.update(model.SavedTest(saved))
        await pilot.pause()

    assert snap_compare(DsenvApp("last-failed", store), run_before=before, terminal_size=size)


def test_small(snap_compare: Compare, store: str) -> None:
    assert snap_compare(DsenvApp("last-failed", store), run_before=settled, terminal_size=(40, 10))
