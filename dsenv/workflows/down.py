"""Destroy a workstation, and say what went with it."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from dsenv.events import Cancel, Emit, step
from dsenv.workflows import chosen, sshconfig
from dsenv.workflows.stop import running_on
from dsenv.workflows.target import Target


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
    return Down(target.identity.name, True, machine.home, files, size, running_on(target))


def down(target: Target, *, emit: Emit, cancel: Cancel) -> Down:
    """Remove the workstation, its files and what is remembered of it. Absent is fine. Raises ProviderError."""
    result = plan(target)
    with target.locked(cancel):
        machine = target.find()
        if machine is not None:
            with step(emit, "down", f"destroy {target.identity.name}"):
                target.provider.destroy(machine, emit)
                sshconfig.forget(machine)
        for name in ("sync.json", "environment.json"):
            (target.folder / name).unlink(missing_ok=True)
        chosen.forget(target.folder)
    return result


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
