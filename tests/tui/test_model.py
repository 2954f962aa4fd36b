"""The reducer: what each message makes of a state, without a terminal."""

from __future__ import annotations

import dataclasses
from functools import reduce
from pathlib import Path

import pytest

from dsenv import events
from dsenv.runs.record import Record
from dsenv.runs.store import open_store
from dsenv.testing.records import RecordBuilder, failure
from dsenv.tui import model
from dsenv.workflows.reproduce.model import Reproduction
from dsenv.workflows.runs import Wanted, runs
from dsenv.workflows.show import RunDetails, details


@pytest.fixture
def store(tmp_path: Path) -> Path:
    for number, command in enumerate((["python", "train.py"], ["python", "score.py", "--fast"])):
        builder = RecordBuilder(tmp_path / "store", f"20260301T10150{number}-000001-abcd")
        builder.record["command"] = command
        builder.write()
    return tmp_path / "store"


def opened(store: Path) -> RunDetails:
    return details(Record(open_store(str(store)), "20260301T101500-000001-abcd"))


def after(*messages: model.Message, state: model.State | None = None) -> model.State:
    return reduce(model.apply, messages, state or model.State())


def test_a_filter_keeps_runs_that_have_every_word(store: Path) -> None:
    listed = after(model.RunsListed(runs(str(store), Wanted(failed=True))))
    assert (listed.loaded, len(listed.shown)) == (True, 2)
    assert [r.command[1] for r in after(model.Filtered("valueerror FAST"), state=listed).shown] == ["score.py"]
    assert after(model.Filtered("valueerror nothing"), state=listed).shown == ()
    assert len(after(model.Filtered("x"), model.Filtered(""), state=listed).shown) == 2


def test_opening_a_run_selects_the_deepest_user_frame(store: Path) -> None:
    state = after(model.RunOpened(opened(store)))
    assert state.selected is not None and state.selected.frame is not None
    assert (state.selected.frame["function"], state.selected.frame["user"]) == ("load", True)
    assert [row.frame["function"] if row.frame else row.exception["type"] for row in state.frames] == [
        "ValueError",
        "load",
        "main",
        "KeyError",
        "load",
    ]
    assert [row.heading for row in state.frames if row.frame is None] == ["", "caused by"]


def test_all_frames_shows_those_of_libraries_and_keeps_the_users_selected(store: Path) -> None:
    state = after(model.RunOpened(opened(store)), model.AllFramesToggled())
    assert "read_csv" in [row.frame["function"] for row in state.frames if row.frame]
    assert state.selected is not None and state.selected.frame is not None
    assert state.selected.frame["function"] == "load"
    assert len(after(model.AllFramesToggled(), state=state).frames) == 5


def test_a_failure_without_user_frames_still_shows_its_frames() -> None:
    made = failure()
    for error in made["exceptions"]:
        for frame in error["frames"]:
            frame["user"] = False
    rows = model.frame_rows(made, all_frames=False)  # type: ignore[arg-type]
    assert len([row for row in rows if row.frame]) == 4


def test_work_follows_the_events_of_its_workflow(store: Path) -> None:
    state = after(
        model.RunOpened(opened(store)),
        model.WorkStarted("reproduce", "r"),
        events.StepStarted("verify", "verify the record"),
        events.StepFinished("verify", "verify the record", 0.5, "3 MB"),
        events.StepStarted("environment", "environment"),
        events.Progress("environment", 3, 9, "packages"),
        events.Output("stdout", b"epoch 1\n"),
        events.Notice("careful"),
    )
    assert state.work is not None
    assert [(s.title, s.state, s.note) for s in state.work.steps] == [
        ("verify the record", "done", "3 MB"),
        ("environment", "running", "3/9 packages"),
        ("careful", "done", ""),
    ]
    assert state.work.output == b"epoch 1\n"
    failed = after(events.StepFailed("environment", "environment", 1.0, "no wheel"), state=state)
    assert failed.work is not None and failed.work.steps[1].state == "failed"
    assert after(model.CancelAsked(), state=state).work == dataclasses.replace(state.work, cancelling=True)


def test_live_output_is_bounded(store: Path) -> None:
    state = after(model.WorkStarted("reproduce", "r"), *[events.Output("stdout", b"x" * 50_000)] * 4)
    assert state.work is not None and len(state.work.output) == 64 << 10


def test_events_without_work_change_nothing() -> None:
    assert after(events.Output("stdout", b"late"), model.CancelAsked()) == model.State()


def test_work_that_ends_in_an_error_leaves_its_message(store: Path) -> None:
    problem = model.Problem("no wheel for x", "dsenv lock")
    state = after(model.WorkStarted("reproduce", "r"), model.WorkEnded(problem))
    assert (state.work, state.problem) == (None, problem)
    assert after(model.WorkStarted("reproduce", "r"), state=state).problem is None


def test_the_latest_reproduction_of_the_open_run_counts(store: Path) -> None:
    seen = opened(store)
    run = runs(str(store)).runs[1]
    first = Reproduction(run, "passed", None, None, (), (), ())
    second = dataclasses.replace(first, verdict="same-failure", frames=seen.frames)
    state = after(model.RunOpened(seen), model.Reproduced(first), model.Reproduced(second))
    assert state.reproduction == second
    twin = model.twin(state, state.selected)
    assert twin is not None and twin["function"] == "load"
    other = after(model.RunOpened(seen), model.Reproduced(first))
    assert model.twin(other, other.selected) is None
