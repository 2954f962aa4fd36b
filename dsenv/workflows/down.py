"""Destroy a workstation, and say what went with it; or forget one whose machine is gone for good."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from dsenv.errors import ProviderError, TransportError
from dsenv.events import Cancel, Emit, step
from dsenv.models.machine import Machine
from dsenv.providers.base import CanAudit
from dsenv.workflows import chosen, lastseen, sshconfig
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
    what: str = ""  # who had made it, and what it was: docker, container, 1 CPU


@dataclasses.dataclass(frozen=True)
class Forgotten:
    """What was forgotten here, or would be. Nothing was destroyed."""

    name: str
    provider: str
    known: bool  # whether anything was remembered here
    unreachable: str | None  # why it could not be asked; None: its provider says that it is not there
    remains: str | None  # where its files and what runs on it may still be
    advice: str | None  # what to type when it can be asked again


def plan(target: Target) -> Down:
    """What `down` would destroy; changes nothing."""
    machine = _found(target)
    if machine is None:
        return Down(target.identity.name, False, None, None, None, [])
    files, size = _weigh(Path(machine.home)) if machine.shares_files else (None, None)
    what = ", ".join(filter(None, (machine.provider, machine.region, machine.note)))
    return Down(target.identity.name, True, machine.home, files, size, running_on(target, machine), what)


def down(target: Target, *, emit: Emit, cancel: Cancel) -> Down:
    """Remove the workstation, its files and what is remembered of it. Absent is fine. Raises ProviderError."""
    result = plan(target)
    if not result.existed and not target.folder.is_dir():
        return result
    with target.locked(cancel):
        machine = _found(target)
        if machine is not None:
            with step(emit, "down", f"destroy {target.identity.name}"):
                target.provider.destroy(machine, emit)
        elif target.provider.check():
            return result  # who cannot be asked may still have it
        # A `down` or `up` that was killed may have left any of this.
        _forget(target)
    return result


def plan_to_forget(target: Target) -> Forgotten:
    """What `forget` would do; changes nothing. Raises ProviderError when the workstation is there."""
    name, why = target.identity.name, None
    try:
        machine = target.find()
        problems = [] if machine else target.provider.check()
    except (ProviderError, TransportError) as error:
        machine, problems, why = None, [], error.message
    if machine is not None:
        raise ProviderError(
            f"the workstation {name} is there, {machine.state.value}: {machine.note or machine.home}",
            hint=f"dsenv down {name} destroys it",
        )
    why = problems[0].message if problems else why
    costs = isinstance(target.provider, CanAudit)
    return Forgotten(
        name=name,
        provider=target.provider.name,
        known=bool(_remembered(target.folder)),
        unreachable=why,
        remains=_last_place(target) if why else None,
        advice="dsenv audit" if why and costs else None,
    )


def forget(target: Target, *, emit: Emit, cancel: Cancel) -> Forgotten:
    """Remove what is remembered here of a workstation that cannot be reached any more, its keys and its `ssh` name.

    Raises ProviderError when it is there.
    """
    if not target.folder.is_dir():
        return plan_to_forget(target)
    with target.locked(cancel), step(emit, "forget", f"forget {target.identity.name}"):
        result = plan_to_forget(target)
        _forget(target)
    return result


def _found(target: Target) -> Machine | None:
    try:
        return target.find()
    except TransportError as error:
        gone = f"if that machine is gone for good: dsenv down {target.identity.name} --forget"
        error.hint = f"{error.hint}; {gone}" if error.hint else gone
        raise


def _forget(target: Target) -> None:
    """Only the lock, which we hold, stays. Who made the workstation is forgotten last: so long it is asked."""
    target.provider.forget(target.identity)
    sshconfig.forget(target.identity)
    for file in _remembered(target.folder):
        file.unlink(missing_ok=True)


def _remembered(folder: Path) -> list[Path]:
    """The files about a workstation, the choice of who makes it at the end."""
    files = [file for file in folder.iterdir() if file.name != LOCK] if folder.is_dir() else []
    return sorted(files, key=lambda file: file.name == chosen.FILE)


def _last_place(target: Target) -> str:
    before, settings = lastseen.read(target.folder), target.settings
    if before is None:
        return settings.host or settings.context or settings.region or target.provider.name
    return f"{before.home} ({', '.join(dict.fromkeys(filter(None, (before.note, before.region))))})"


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
