"""Switch a workstation off, keeping its files."""

from __future__ import annotations

import dataclasses

from dsenv.errors import DsenvError
from dsenv.events import Cancel, Emit, step
from dsenv.models.machine import Machine, State
from dsenv.providers.base import CanStop
from dsenv.workflows import lastseen
from dsenv.workflows.ps import jobs_of
from dsenv.workflows.target import Target, agent_client


@dataclasses.dataclass(frozen=True)
class Stopped:
    """A workstation after `stop`."""

    name: str
    state: str
    ended_runs: list[str]  # ids of runs that were ended by it


def stop(target: Target, *, dry_run: bool = False, emit: Emit, cancel: Cancel) -> Stopped:
    """Stopped already is fine. Raises WorkstationNotReadyError when there is none, ProviderError."""
    name, machine = target.identity.name, target.existing()
    if not isinstance(target.provider, CanStop):
        raise target.cannot_be("stopped", "dsenv down")
    runs = running_on(target, machine)
    if dry_run:
        return Stopped(name, machine.state.value, runs)
    with target.locked(cancel), step(emit, "stop", f"stop {name}") as note:
        lastseen.forget(target.folder)
        machine = target.provider.stop(machine, emit)
        note.note = f"{len(runs)} runs ended" if runs else ""
    return Stopped(name, machine.state.value, runs)


def running_on(target: Target, machine: Machine) -> list[str]:
    """Ids of what runs there now; empty when it cannot be asked."""
    if machine.state is not State.RUNNING:
        return []
    try:
        with agent_client(target, machine) as client:
            return [job.id for job in jobs_of(client, machine) if job.status == "running"]
    except DsenvError:
        return []
