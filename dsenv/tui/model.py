"""What the TUI shows, as data: `apply(state, message) -> state`, pure and without textual.

Every message is a frozen value: what a workflow emitted, what it returned, or what the user asked for. Screens
render a State and post messages; nothing else decides what is shown.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

from dsenv import events
from dsenv.agent import schema
from dsenv.runs.index import RunSummary
from dsenv.runs.output import OutputLines
from dsenv.workflows.reproduce.model import Reproduction
from dsenv.workflows.runs import Runs
from dsenv.workflows.show import RunDetails
from dsenv.workflows.testfile.model import Saved

WorkKind = Literal["load", "reproduce", "working-tree", "prepare", "test"]
_LIVE_OUTPUT = 64 << 10

WORK_TITLES: dict[WorkKind, str] = {
    "load": "reading the record",
    "reproduce": "reproducing",
    "working-tree": "running the working tree",
    "prepare": "preparing to stop in the frame",
    "test": "saving it as a test",
}

# Of a failure without an exception, where the black box or the crash handler saw the process.
BLACK_BOX = {
    "memory": "near its memory limit",
    "time-out": "at its time-out",
    "signal": "when it was told to end",
    "fatal": "where it crashed",
}


@dataclasses.dataclass(frozen=True)
class StepView:
    """A step of the work in progress."""

    name: str
    title: str
    state: Literal["running", "done", "failed"] = "running"
    note: str = ""
    seconds: float = 0.0


@dataclasses.dataclass(frozen=True)
class Work:
    """Work in progress: its steps, and the end of what the command wrote so far."""

    kind: WorkKind
    run: str
    steps: tuple[StepView, ...] = ()
    output: bytes = b""
    cancelling: bool = False


@dataclasses.dataclass(frozen=True)
class Problem:
    """An error as people read it."""

    message: str
    hint: str = ""


@dataclasses.dataclass(frozen=True)
class State:
    """All that is shown. `reproductions` has the latest result for each run."""

    store: str = ""
    runs: tuple[RunSummary, ...] = ()
    shown: tuple[RunSummary, ...] = ()  # those that match the filter: every word of it is somewhere in the run
    more: bool = False
    loaded: bool = False
    filter: str = ""
    details: RunDetails | None = None
    lines: OutputLines | None = None  # all output of the run that is open, once it was scanned
    frame: int = 0
    all_frames: bool = False
    work: Work | None = None
    reproductions: tuple[Reproduction, ...] = ()
    problem: Problem | None = None
    table: str = ""  # the local whose columns are looked at
    saved: Saved | None = None  # what became of the test that was asked for last

    @property
    def reproduction(self) -> Reproduction | None:
        """The result for the run that is open."""
        run = self.details.record["id"] if self.details else ""
        return next((r for r in reversed(self.reproductions) if r.run.id == run), None)

    @property
    def frames(self) -> tuple[FrameRow, ...]:
        """The rows of the traceback of the run that is open; of one that was killed, of the run that explains it."""
        explained = self.explained
        if explained is not None:
            return frame_rows(explained, all_frames=self.all_frames, heading="with less memory")
        failure = self.details.failure if self.details else None
        heading = BLACK_BOX.get(failure.get("how", ""), "") if failure else ""
        return frame_rows(failure, all_frames=self.all_frames, heading=heading)

    @property
    def explained(self) -> schema.Failure | None:
        """What the run that was killed for want of memory was doing, as a run with less memory says."""
        result = self.reproduction
        if result is None or result.explained_by is None or result.frames is None or result.observed is None:
            return None
        primary, failures = result.frames["primary"], result.frames["failures"]
        known = primary is not None and 0 <= primary < len(failures) and result.observed["kind"] == "signal"
        return failures[primary] if known and primary is not None else None

    @property
    def open_table(self) -> tuple[schema.Local, schema.Local | None] | None:
        """The table that is looked at, there and here; None when there is none of that name in the frame."""
        row, other = self.selected, twin(self, self.selected)
        found = _local(row.frame if row else None, self.table) if self.table else None
        return (found, _local(other, self.table)) if found else None

    @property
    def selected(self) -> FrameRow | None:
        """The row that is looked at."""
        rows = self.frames
        return rows[min(self.frame, len(rows) - 1)] if rows else None


@dataclasses.dataclass(frozen=True)
class FrameRow:
    """A line of the traceback: a frame, or the heading of an exception (frame None)."""

    exception: schema.ExceptionDetail
    frame: schema.FrameDetail | None
    heading: str = ""
    position: tuple[int, int] = (0, 0)  # exception, frame: the same in production and here


# Messages beside the events of workflows.
@dataclasses.dataclass(frozen=True)
class RunsListed:
    """The list of runs was read."""

    runs: Runs


@dataclasses.dataclass(frozen=True)
class RunOpened:
    """A run was read."""

    details: RunDetails


@dataclasses.dataclass(frozen=True)
class OutputScanned:
    """All output of a run can be had by line; None when it cannot."""

    run: str
    lines: OutputLines | None


@dataclasses.dataclass(frozen=True)
class WorkStarted:
    """Long work begins."""

    kind: WorkKind
    run: str


@dataclasses.dataclass(frozen=True)
class Reproduced:
    """A reproduction ended with a verdict."""

    result: Reproduction


@dataclasses.dataclass(frozen=True)
class Prepared:
    """All is here that a run in the debugger needs."""


@dataclasses.dataclass(frozen=True)
class SavedTest:
    """A test was written, or not; it says why."""

    saved: Saved


@dataclasses.dataclass(frozen=True)
class TablePicked:
    """The user looks at the columns of a local; empty when no longer."""

    name: str


@dataclasses.dataclass(frozen=True)
class WorkEnded:
    """Work ended without a result: it was cancelled, or failed with `problem`."""

    problem: Problem | None = None


@dataclasses.dataclass(frozen=True)
class CancelAsked:
    """The user wants the work to stop."""


@dataclasses.dataclass(frozen=True)
class Filtered:
    """The user typed into the filter."""

    text: str


@dataclasses.dataclass(frozen=True)
class FramePicked:
    """The user moved to another row of the traceback."""

    row: int


@dataclasses.dataclass(frozen=True)
class AllFramesToggled:
    """The user wants to see, or not to see, frames of libraries."""


Message = (
    events.Event
    | RunsListed
    | RunOpened
    | OutputScanned
    | WorkStarted
    | Reproduced
    | Prepared
    | SavedTest
    | TablePicked
    | WorkEnded
    | CancelAsked
    | Filtered
    | FramePicked
    | AllFramesToggled
)


def apply(state: State, message: Message) -> State:
    """The state after a message."""
    change = dataclasses.replace
    match message:
        case RunsListed() | Filtered():
            return _listed(state, message)
        case RunOpened(details=details):
            kept = change(state, lines=None, work=None, problem=None, all_frames=False, table="", saved=None)
            return _at_user_frame(change(kept, details=details))
        case OutputScanned(run=run, lines=lines):
            current = state.details is not None and state.details.record["id"] == run
            return change(state, lines=lines) if current else state
        case WorkStarted() | Reproduced() | Prepared() | SavedTest() | WorkEnded() | CancelAsked():
            return _worked(state, message)
        case FramePicked(row=row):
            return change(state, frame=row, table="")
        case TablePicked(name=name):
            return change(state, table=name)
        case AllFramesToggled():
            return _at_user_frame(change(state, all_frames=not state.all_frames, table=""))
        case _:
            return change(state, work=_progressed(state.work, message)) if state.work else state


def _worked(state: State, message: WorkStarted | Reproduced | Prepared | SavedTest | WorkEnded | CancelAsked) -> State:
    """Work began, or came to an end."""
    change = dataclasses.replace
    match message:
        case WorkStarted(kind=kind, run=run):
            return change(state, work=Work(kind, run), problem=None, saved=None)
        case Reproduced(result=result):
            why = Problem(result.not_stopped) if result.not_stopped else None
            return change(_reproduced(state, result), problem=why)
        case Prepared():
            return change(state, work=None)
        case SavedTest(saved=saved):
            known = _reproduced(state, saved.reproduction) if saved.reproduction else state
            return change(known, work=None, saved=saved)
        case WorkEnded(problem=problem):
            return change(state, work=None, problem=problem)
        case CancelAsked():
            return change(state, work=change(state.work, cancelling=True)) if state.work else state


def _reproduced(state: State, result: Reproduction) -> State:
    kept = tuple(r for r in state.reproductions if r.run.id != result.run.id)
    return dataclasses.replace(state, reproductions=(*kept, result), work=None)


def _local(frame: schema.FrameDetail | None, name: str) -> schema.Local | None:
    found = frame.get("locals", []) if frame else []
    return next((local for local in found if local.get("name") == name), None)


def _listed(state: State, message: RunsListed | Filtered) -> State:
    if isinstance(message, RunsListed):
        found = message.runs
        runs = tuple(found.runs)
        shown = _matching(runs, state.filter)
        return dataclasses.replace(state, store=found.store, runs=runs, shown=shown, more=found.more, loaded=True)
    narrower = message.text.startswith(state.filter)
    shown = _matching(state.shown if narrower else state.runs, message.text)
    return dataclasses.replace(state, filter=message.text, shown=shown)


def _progressed(work: Work, event: events.Event) -> Work:
    """The work after an event of its workflow."""
    match event:
        case events.StepStarted(step=name, title=title):
            return dataclasses.replace(work, steps=(*work.steps, StepView(name, title)))
        case events.StepFinished(step=name, note=note, seconds=seconds):
            return _step(work, name, state="done", note=note, seconds=seconds)
        case events.StepFailed(step=name, error=error, seconds=seconds):
            return _step(work, name, state="failed", note=error, seconds=seconds)
        case events.Progress(step=name, done=done, total=total, unit=unit):
            amount = f"{done:,}/{total:,} {unit}" if total else f"{done:,} {unit}" if done else unit
            return _step(work, name, note=amount)
        case events.Output(data=data):
            return dataclasses.replace(work, output=(work.output + data)[-_LIVE_OUTPUT:])
        case events.Notice(message=text):
            return dataclasses.replace(work, steps=(*work.steps, StepView("notice", text, "done")))


def _step(
    work: Work,
    name: str,
    *,
    state: Literal["running", "done", "failed"] = "running",
    note: str = "",
    seconds: float = 0.0,
) -> Work:
    steps = tuple(
        dataclasses.replace(step, state=state, note=note, seconds=seconds)
        if step.name == name and step.state == "running"
        else step
        for step in work.steps
    )
    return dataclasses.replace(work, steps=steps)


def _matching(runs: tuple[RunSummary, ...], text: str) -> tuple[RunSummary, ...]:
    words = text.lower().split()
    if not words:
        return runs
    return tuple(run for run in runs if all(word in searched for searched in (searchable(run),) for word in words))


def searchable(run: RunSummary) -> str:
    """The text that a filter looks into."""
    why = (run.signature["type"], run.signature["message"]) if run.signature else ()
    words = (run.id, run.status, run.project, run.task, *run.command, *why)
    return " ".join(str(word) for word in words if word).lower()


def frame_rows(failure: schema.Failure | None, *, all_frames: bool, heading: str = "") -> tuple[FrameRow, ...]:
    """The exception that ended it first, its deepest frame on top; then what led to it.

    Frames of libraries are left out unless `all_frames`, or unless nothing of the user's is there.
    """
    rows: list[FrameRow] = []
    links = {"cause": "caused by", "context": "while handling"}
    for number, error in enumerate(failure.get("exceptions", []) if failure else []):
        rows.append(FrameRow(error, None, heading, (number, -1)))
        frames = error.get("frames", [])
        user = [frame for frame in frames if frame.get("user")]
        for index in range(len(frames) - 1, -1, -1):
            if all_frames or not user or frames[index].get("user"):
                rows.append(FrameRow(error, frames[index], position=(number, index)))
        heading = links.get(error.get("link") or "", "before")
    return tuple(rows)


def _at_user_frame(state: State) -> State:
    rows = state.frames
    users = (i for i, row in enumerate(rows) if row.frame is not None and row.frame.get("user"))
    return dataclasses.replace(state, frame=next(users, 1 if len(rows) > 1 else 0))


def twin(state: State, row: FrameRow | None) -> schema.FrameDetail | None:
    """The frame of the reproduction that corresponds to a frame of the record, None when there is none."""
    result = state.reproduction
    if row is None or row.frame is None or result is None or result.frames is None or state.explained is not None:
        return None
    primary = result.frames["primary"]
    failures = result.frames["failures"]
    if primary is None or not 0 <= primary < len(failures):
        return None
    exceptions = failures[primary].get("exceptions", [])
    number, index = row.position
    frames = exceptions[number].get("frames", []) if number < len(exceptions) else []
    found = frames[index] if index < len(frames) else None
    return found if found and found["function"] == row.frame["function"] else None
