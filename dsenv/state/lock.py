"""One writer at a time: an advisory lock on a file, released by the system when its holder dies."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

from dsenv.errors import StateError
from dsenv.events import Cancel


def _try_lock(handle: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@contextmanager
def exclusive(file: Path, *, what: str, timeout: float = 600.0, cancel: Cancel | None = None) -> Iterator[bool]:
    """Hold the lock `file`. Yields whether someone else had to be waited for.

    `what` names the thing for the message; `timeout` is in seconds. Raises StateError when it does not come
    free in time. The file stays behind: removing it would let two holders in.
    """
    cancel = cancel or Cancel()
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(file, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
    except OSError as error:
        raise StateError(f"cannot open the lock {file}: {error.strerror}") from error
    try:
        deadline, waited = monotonic() + timeout, False
        while not _try_lock(handle):
            waited = True
            if monotonic() > deadline:
                raise StateError(
                    f"{what} is in use by another dsenv (waited {timeout:.0f} s for {file})",
                    hint="wait for it to end, then repeat",
                )
            cancel.wait(0.05)
            cancel.check()
        yield waited
    finally:
        os.close(handle)
