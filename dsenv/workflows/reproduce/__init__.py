"""Reproduce a failed run here: fetch, verify, plan, restore, run again, and say whether it is the same failure."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator

from dsenv.agent import schema, signature
from dsenv.agent.rerun import NOT_PREPARED
from dsenv.errors import EnvError, UsageError
from dsenv.events import Cancel, Emit, Notice, step
from dsenv.runs import index, restore
from dsenv.runs.record import Record
from dsenv.runs.store import open_store
from dsenv.workflows.reproduce import debugging, environment, memory, objects
from dsenv.workflows.reproduce.differences import differences, unmet
from dsenv.workflows.reproduce.model import CodeChoice, Isolation, Item, Means, Plan, Reproduction, Verdict
from dsenv.workflows.reproduce.plan import plan as make_plan
from dsenv.workflows.reproduce.run import Ran, run
from dsenv.workflows.reproduce.scratch import Scratch
from dsenv.workflows.runs import store_url
from dsenv.workflows.show import tail

__all__ = ["Options", "Plan", "Reproduction", "open_record", "plan", "prepare", "reproduce"]


@dataclasses.dataclass(frozen=True)
class Options:
    """How to reproduce. `debug` stops in the failing frame, on the terminal; `keep` leaves the scratch folder."""

    code: CodeChoice = "recorded"
    debug: bool = False
    keep: bool = False
    isolation: Isolation | None = None
    clock: bool = False  # begin time when the recorded run began
    available: Means | None = None  # what may be used of this machine; found out when it is not given


def open_record(run: str, store: str | None) -> Record:
    """The record that `run` names. Raises UnknownRunError, RecordError, StoreError, TransportError."""
    opened = open_store(store_url(store))
    return Record(opened, index.find(opened, run))


def plan(record: Record, options: Options = Options()) -> Plan:
    """What `reproduce` would do."""
    return make_plan(
        record, code=options.code, isolation=options.isolation, clock=options.clock, available=options.available
    )


def reproduce(record: Record, options: Options, *, emit: Emit, cancel: Cancel) -> Reproduction:
    """Run a record again and compare. Raises RecordError when the record is not to be trusted.

    An environment that cannot be had is the verdict `cannot-reproduce` with its reason, not an error.
    """
    with step(emit, "verify", "verify the record") as note:
        total = restore.verify(record)
        note.note = f"{total / 1e6:.1f} MB"
    cancel.check()
    made = plan(record, options)
    lacking = _lacking(record, options)
    if lacking:
        return _impossible(record, made, lacking)
    try:
        prefix = environment.make(made.environment, emit=emit, cancel=cancel)
    except EnvError as error:
        detail = f"\n{error.detail}" if error.detail else ""
        return _impossible(record, made, f"{error.message}{detail}")
    cancel.check()
    return _in_scratch(record, made, prefix, options, emit, cancel)


def prepare(record: Record, *, emit: Emit, cancel: Cancel) -> None:
    """Verify a record and install its environment, so that a reproduction need not. Raises as `reproduce` does.

    What keeps the environment from being had is the reproduction's to say.
    """
    with step(emit, "verify", "verify the record"):
        restore.verify(record)
    cancel.check()
    with contextlib.suppress(EnvError):
        environment.make(plan(record).environment, emit=emit, cancel=cancel)


def _lacking(record: Record, options: Options) -> str | None:
    if not record.data.get("command"):
        return "the record has no command"
    code = record.data.get("code")
    if options.code == "recorded" and (not code or not code["tree"]):
        return "the record has no code; use --code working-tree to run what is here"
    if record.status == "running":
        raise UsageError(f"{record.id} is still running", hint=f"wait for it, or look at it: dsenv show {record.id}")
    return None


def _impossible(record: Record, made: Plan, reason: str) -> Reproduction:
    return Reproduction(
        run=made.run,
        verdict="cannot-reproduce",
        recorded=record.data.get("signature"),
        observed=None,
        differences=differences(record, made, None),
        restored=(),
        not_restored=made.not_restored,
        reason=reason,
        code=made.code,
    )


def _in_scratch(record: Record, made: Plan, prefix: str, options: Options, emit: Emit, cancel: Cancel) -> Reproduction:
    scratch = Scratch(made, record)
    recorded = record.data.get("signature")
    killed = bool(made.conditions.memory) and recorded is not None and recorded["signal"] == "SIGKILL"
    try:
        with step(emit, "restore", "restore code and inputs") as note:
            scratch.fill(cancel)
            note.note = f"{len(made.inputs)} inputs"
        # Nobody can stop in a frame of a process that is killed: that is for the second run.
        stops = options.debug and not killed
        with _alone(emit) if stops else step(emit, "run", "run it again"):
            ran = run(scratch, prefix, debug=stops, emit=emit, cancel=cancel)
        if ran.code == NOT_PREPARED and made.isolation == "namespace" and ran.record is None:
            emit(Notice("a mount namespace could not be set up; files are redirected instead", "warning"))
            again = dataclasses.replace(options, isolation="redirect")
            return _in_scratch(record, plan(record, again), prefix, again, emit, cancel)
        if ran.code == NOT_PREPARED and ran.record is None:
            return _impossible(record, made, "its folders could not be set up here; the reason is in the output above")
        result = _judge(record, scratch, ran, options)
    finally:
        if not options.keep:
            scratch.remove()
    explained = memory.explain(record, made, prefix, ran, debug=options.debug, emit=emit, cancel=cancel)
    if explained is None:
        if options.debug and not ran.stopped and result.verdict != "cannot-reproduce":
            return dataclasses.replace(result, not_stopped=debugging.why_not(result.observed))
        return result
    # Of a process that was killed only its stack is known, if that; an exception has frames of its own.
    mute = result.observed is not None and result.observed["kind"] == "signal"
    return dataclasses.replace(result, explained_by=explained[0], frames=explained[1] if mute else result.frames)


@contextlib.contextmanager
def _alone(emit: Emit) -> Iterator[None]:
    """A run that has the terminal to itself: nothing is shown beside it."""
    emit(Notice("it runs again, and stops in pdb where it fails"))
    yield


def _judge(record: Record, scratch: Scratch, ran: Ran, options: Options) -> Reproduction:
    made, again = scratch.plan, ran.record
    if again is None:
        reason = f"it ended before it could be recorded: it was killed, or there is no space in {scratch.folder.parent}"
        broken = _impossible(record, made, reason)
        return dataclasses.replace(broken, not_restored=(*made.not_restored, *scratch.notes, *ran.told.refused))
    recorded, observed = record.data.get("signature"), scratch.as_recorded(again.data.get("signature"))
    verdict = compare(scratch.comparable(recorded), scratch.comparable(observed))
    found_out = [*scratch.notes, *ran.told.refused, *unmet(record, again), *objects.unanswered(again)]
    if verdict != "same-failure" and not options.clock:
        note = "it is today's; --clock recorded begins Python's when the recorded run began"
        found_out.append(Item("clock", "", note))
    return Reproduction(
        run=made.run,
        verdict=verdict,
        recorded=recorded,
        observed=observed,
        differences=() if verdict == "same-failure" else differences(record, made, again, found_out),
        restored=made.restored,
        not_restored=(*made.not_restored, *found_out),
        exit=again.data.get("exit"),
        seconds=ran.seconds,
        frames=again.frames(),
        output=tuple(tail(again)[0]),
        scratch=str(scratch.folder) if options.keep else None,
        code=made.code,
    )


def compare(recorded: schema.Signature | None, observed: schema.Signature | None) -> Verdict:
    """The verdict from two signatures; None is a run that ended well."""
    if observed is None:
        return "passed"
    return "same-failure" if recorded is not None and signature.same(recorded, observed) else "different-failure"
