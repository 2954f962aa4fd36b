"""Destroy a workstation, and say what went with it."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from dsenv.events import Cancel, Emit, step
from dsenv.workflows import chosen, sshconfig
from dsenv.workflows.stop import running_on
from dsenv.workflows.target import LOCK, Target


@dataclasses.dataclass(frozen=True)
class Down:
    """What was destroyed, or would be."""

    name: str
    existed: bool
    home: str | None
    files: int | None  # in its home; None where that cannot be known
    bytes: int | None
    ended_runs: list[str]


def plan(target: Target) -> Down:
    """What `down` would destroy; changes nothing."""
    machine = target.find()
    if machine is None:
        return Down(target.identity.name, False, None, None, None, [])
    files, size = _weigh(Path(machine.home)) if machine.shares_files else (None, None)
    return Down(target.identity.name, True, machine.home, files, size, running_on(target, machine))


def down(target: Target, *, emit: Emit, cancel: Cancel) -> Down:
    """Remove the workstation, its files and what is remembered of it. Absent is fine. Raises ProviderError."""
    result = plan(target)
    if not result.existed and not target.folder.is_dir():
        return result
    with target.locked(cancel):
        machine = target.find()
        if machine is not None:
            with step(emit, "down", f"destroy {target.identity.name}"):
                target.provider.destroy(machine, emit)
        elif target.provider.check():
            return result  # who cannot be asked may still have it
        # A `down` or `up` that was killed may have left any of this.
        target.provider.forget(target.identity)
        sshconfig.forget(target.identity)
        _empty(target.folder)
    return result


def _empty(folder: Path) -> None:
    """Only the lock, which we hold, stays. Who made the workstation is forgotten last: so long it is asked."""
    files = [file for file in folder.iterdir() if file.name not in {LOCK, chosen.FILE}]
    for file in (*files, folder / chosen.FILE):
        file.unlink(missing_ok=True)


def _weigh(folder: Path) -> tuple[int, int]:
    count = size = 0
    for place, _, names in os.walk(folder):
        for name in names:
            count += 1
            try:
                size += Path(place, name).lstat().st_size
            except OSError:
                continue  # removed meanwhile
    return count, size
