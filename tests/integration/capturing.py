"""What tests of `capture` share: it stands before real processes, and its record is read back."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dsenv.runs import index
from dsenv.runs.record import Record
from dsenv.runs.store.folder import FolderStore
from tests.measuring import unmeasured

REPOSITORY = str(Path(__file__).parents[2])
AGENT = [sys.executable, "-m", "dsenv.agent", "capture"]


def capture(
    store: Path,
    command: list[str],
    *options: str,
    env: Mapping[str, str] | None = None,
    measured: bool = True,
    **settings: object,
) -> subprocess.CompletedProcess[bytes]:
    """Capture a command; `settings` are those of `subprocess.run`. See tests/measuring.py for `measured`."""
    chosen: dict[str, Any] = {"capture_output": True, "stdin": subprocess.DEVNULL} | settings
    words = [*AGENT, "--store", str(store), *options, "--", *command]
    done: subprocess.CompletedProcess[bytes] = subprocess.run(
        words, check=False, timeout=60, env=(dict(os.environ) if measured else unmeasured()) | dict(env or {}), **chosen
    )
    return done


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def only(store: Path) -> Record:
    opened = FolderStore(store)
    (found,) = index.newest(opened)
    return Record(opened, found.id)


def log(record: Record) -> dict[str, bytes]:
    streams = {"stdout": b"", "stderr": b""}
    for chunk in record.output():
        streams[chunk.stream] += chunk.data
    return streams


def eventually(condition: Callable[[], bool], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
