"""Give a workstation other processors and memory, keeping its files."""

from __future__ import annotations

import dataclasses

from dsenv.errors import UsageError
from dsenv.events import Cancel, Emit, step
from dsenv.providers.base import CanResize
from dsenv.workflows import chosen, lastseen, needs, sshconfig
from dsenv.workflows.ls import Listed, describe
from dsenv.workflows.stop import running_on
from dsenv.workflows.target import Target


@dataclasses.dataclass(frozen=True)
class Resized:
    """A workstation after `resize`, or before it in a dry run."""

    workstation: Listed
    was: str  # what it was before, for people
    ended_runs: list[str]  # ids of runs that were, or would be, ended by it


def resize(target: Target, *, dry_run: bool = False, emit: Emit, cancel: Cancel) -> Resized:
    """Make it what the target's settings say. As wanted already is fine.

    Raises UsageError when no size is said, WorkstationNotReadyError, ProviderError with the old size kept.
    """
    name = target.identity.name
    if not (target.settings.size or target.settings.instance_type):
        raise UsageError("nothing is said about the new size", hint=f"dsenv resize {name} --size cpu=8,mem=32")
    machine = target.existing()
    if not isinstance(target.provider, CanResize):
        raise target.cannot_be("resized", "dsenv down, then dsenv up")
    runs = running_on(target, machine)
    if dry_run:
        return Resized(describe(machine, target.provider), machine.note, runs)
    before = machine.note
    wanted = needs.gathered(target, target.chosen.like)
    with target.locked(cancel):
        lastseen.forget(target.folder)  # what is made from a container may have another port
        with step(emit, "resize", f"resize {name}") as note:
            machine = target.provider.resize(machine, target.spec(wanted), emit)
            note.note = machine.note if machine.note != before else "as wanted already"
        sshconfig.register(machine)
        lastseen.write(target.folder, machine)
        chosen.write(target.folder, target.chosen, machine.provider)
    return Resized(describe(machine, target.provider), before, runs)
