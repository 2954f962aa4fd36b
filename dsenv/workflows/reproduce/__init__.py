"""Reproduce a failed run here: fetch, verify, plan, restore, run again, and say whether it is the same failure."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import IO, Literal

from dsenv.agent import runid, schema, signature
from dsenv.agent.rerun import NOT_PREPARED
from dsenv.errors import EnvError, RecordError, UsageError
from dsenv.events import Cancel, Cancelled, Emit, Notice, Output, step
from dsenv.runs import index, restore
from dsenv.runs.record import Record
from dsenv.runs.store import open_store
from dsenv.runs.store.folder import FolderStore
from dsenv.workflows.reproduce import environment
from dsenv.workflows.reproduce.differences import differences
from dsenv.workflows.reproduce.model import CodeChoice, Isolation, Plan, Reproduction, Verdict
from dsenv.workflows.reproduce.plan import plan as make_plan
from dsenv.workflows.reproduce.scratch import Scratch
from dsenv.workflows.runs import store_url
from dsenv.workflows.show import tail

__all__ = ["Options", "Plan", "Reproduction", "open_record", "plan", "reproduce"]


@dataclasses.dataclass(frozen=True)
class Options:
    """How to reproduce. `debug` stops in the failing frame, on the terminal; `keep` leaves the scratch folder."""

    code: CodeChoice = "recorded"
    debug: bool = False
    keep: bool = False
    isolation: Isolation | None = None


def open_record(run: str, store: str | None) -> Record:
    """The record that `run` names. Raises UnknownRunError, RecordError, StoreError, TransportError."""
    opened = open_store(store_url(store))
    return Record(opened, index.find(opened, run))


def plan(record: Record, options: Options = Options()) -> Plan:
    """What `reproduce` would do."""
    return make_plan(record, code=options.code, isolation=options.isolation)


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
    )


def _in_scratch(record: Record, made: Plan, prefix: str, options: Options, emit: Emit, cancel: Cancel) -> Reproduction:
    scratch = Scratch(made, record)
    try:
        with step(emit, "restore", "restore code and inputs") as note:
            scratch.fill(cancel)
            note.note = f"{len(made.inputs)} inputs"
        with step(emit, "run", "run it again"):
            begun = time.monotonic()
            code, run_id = _run(scratch, prefix, options, emit, cancel)
            seconds = time.monotonic() - begun
        if code == NOT_PREPARED and made.isolation == "namespace" and not _recorded(scratch, run_id):
            emit(Notice("a mount namespace could not be set up; files are redirected instead", "warning"))
            again = dataclasses.replace(options, isolation="redirect")
            return _in_scratch(record, plan(record, again), prefix, again, emit, cancel)
        if code == NOT_PREPARED and not _recorded(scratch, run_id):
            return _impossible(record, made, "its folders could not be set up here; the reason is in the output above")
        return _judge(record, scratch, run_id, seconds, options)
    finally:
        if not options.keep:
            scratch.remove()


def _run(scratch: Scratch, prefix: str, options: Options, emit: Emit, cancel: Cancel) -> tuple[int, str]:
    """Run the plan; returns the exit code and the id of the new record. Nothing that it started outlives it."""
    run_id = runid.new()
    command = scratch.write_plan(prefix, run_id, debug=options.debug)
    stdin = scratch.stdin()
    with (stdin or Path(os.devnull)).open("rb") as source:
        if options.debug:
            # The program's stdout is no data of ours: it goes where everything else goes that people read.
            return subprocess.run(command, check=False, stdin=source, stdout=2).returncode, run_id
        process = subprocess.Popen(
            command, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )
    readers = [
        threading.Thread(target=_forward, args=(stream, name, emit), daemon=True)
        for stream, name in ((process.stdout, "stdout"), (process.stderr, "stderr"))
    ]
    for reader in readers:
        reader.start()
    try:
        while process.poll() is None:
            cancel.wait(0.02)
            cancel.check()
    except (Cancelled, KeyboardInterrupt):
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)
        raise
    finally:
        _sweep(process)
    for reader in readers:
        reader.join(timeout=5)
    return process.returncode, run_id


def _forward(stream: IO[bytes] | None, name: Literal["stdout", "stderr"], emit: Emit) -> None:
    assert stream is not None
    with stream:
        while data := stream.read1(65536):  # type: ignore[attr-defined]
            emit(Output(name, data))


def _sweep(process: subprocess.Popen[bytes]) -> None:
    """End what is left of the process and of all that it started: it reads and writes the scratch folder."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _recorded(scratch: Scratch, run_id: str) -> bool:
    store = FolderStore(scratch.store)
    try:
        return Record(store, run_id).complete
    except RecordError:
        return False


def _judge(record: Record, scratch: Scratch, run_id: str, seconds: float, options: Options) -> Reproduction:
    made = scratch.plan
    not_restored = (*made.not_restored, *scratch.notes)
    if not _recorded(scratch, run_id):
        reason = f"it ended before it could be recorded: it was killed, or there is no space in {scratch.folder.parent}"
        broken = _impossible(record, made, reason)
        return dataclasses.replace(broken, not_restored=not_restored)
    again = Record(FolderStore(scratch.store), run_id)
    recorded, observed = record.data.get("signature"), scratch.as_recorded(again.data.get("signature"))
    verdict = compare(scratch.comparable(recorded), scratch.comparable(observed))
    return Reproduction(
        run=made.run,
        verdict=verdict,
        recorded=recorded,
        observed=observed,
        differences=() if verdict == "same-failure" else differences(record, made, again),
        restored=made.restored,
        not_restored=not_restored,
        exit=again.data.get("exit"),
        seconds=seconds,
        frames=again.frames(),
        output=tuple(tail(again)[0]),
        scratch=str(scratch.folder) if options.keep else None,
    )


def compare(recorded: schema.Signature | None, observed: schema.Signature | None) -> Verdict:
    """The verdict from two signatures; None is a run that ended well."""
    if observed is None:
        return "passed"
    return "same-failure" if recorded is not None and signature.same(recorded, observed) else "different-failure"
