"""Locks between processes of one machine: a file that is locked while it is open, released by the kernel at death."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO


def folder() -> Path:
    """Where the lab keeps its locks and logs: one folder for each user of the machine."""
    path = Path(tempfile.gettempdir()) / f"dsenv-lab-{os.getuid()}"
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def take(name: str, *, shared: bool = False) -> IO[str] | None:
    """The lock, to be held until the file is closed; None when somebody else has it."""
    import fcntl  # not on every system on which the other tests run

    file = (folder() / f"{name}.lock").open("a+", encoding="utf-8")
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


@contextlib.contextmanager
def held(name: str, seconds: float = 600) -> Iterator[None]:
    """Hold the lock, after waiting for it. Raises TimeoutError after `seconds`."""
    deadline = time.monotonic() + seconds
    while (file := take(name)) is None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{name} stayed locked for {seconds:.0f} s")
        time.sleep(0.1)
    try:
        yield
    finally:
        file.close()
