"""Runs the plan of a scratch folder, forwards its output, and leaves nothing of it behind."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Literal

from dsenv.agent import runid
from dsenv.errors import RecordError
from dsenv.events import Cancel, Cancelled, Emit, Output
from dsenv.runs.record import Record
from dsenv.runs.store.folder import FolderStore
from dsenv.workflows.reproduce.debugging import stopped
from dsenv.workflows.reproduce.imposed import Report, report
from dsenv.workflows.reproduce.scratch import Scratch


@dataclasses.dataclass(frozen=True)
class Ran:
    """A run that has ended: its exit code, its record (None when it left no complete one), and what it reported.

    `stopped` says whether pdb was opened in it.
    """

    code: int
    record: Record | None
    seconds: float
    told: Report
    stopped: bool = False


def run(scratch: Scratch, prefix: str, *, debug: bool = False, reserved: int = 0, emit: Emit, cancel: Cancel) -> Ran:
    """Run the plan once, see `Scratch.write_plan`. Nothing that it started outlives it."""
    run_id = runid.new()
    command = scratch.write_plan(prefix, run_id, debug=debug, reserved=reserved)
    stdin = scratch.stdin()
    begun = time.monotonic()
    try:
        with (stdin or Path(os.devnull)).open("rb") as source:
            code = _on_terminal(command, source) if debug else forwarded(command, source, emit, cancel)
    finally:
        told = report(scratch.folder)
        told.remove()
    seconds = time.monotonic() - begun
    return Ran(code, _complete(scratch, run_id), seconds, told, stopped(scratch.folder))


def _on_terminal(command: list[str], source: IO[bytes]) -> int:
    """Run a command that may take the terminal: ^C is for it."""
    before = signal.signal(signal.SIGINT, lambda number, frame: None)
    try:
        # The program's stdout is no data of ours: it goes where everything else goes that people read.
        return subprocess.run(command, check=False, stdin=source, stdout=2).returncode
    finally:
        signal.signal(signal.SIGINT, before)


def forwarded(
    command: list[str], source: IO[bytes], emit: Emit, cancel: Cancel, env: Mapping[str, str] | None = None
) -> int:
    """Run a command in a session of its own and tell its output; returns its exit code. Nothing of it is left."""
    process = subprocess.Popen(
        command, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, env=env
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
    return process.returncode


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


def _complete(scratch: Scratch, run_id: str) -> Record | None:
    try:
        found = Record(FolderStore(scratch.store), run_id)
    except RecordError:
        return None
    return found if found.complete else None
