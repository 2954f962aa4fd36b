"""One workstation in detail."""

from __future__ import annotations

import dataclasses

from dsenv.models.machine import State
from dsenv.workflows import environment
from dsenv.workflows.ls import Listed, describe
from dsenv.workflows.ps import Job, jobs_of
from dsenv.workflows.target import Target, agent_client


@dataclasses.dataclass(frozen=True)
class Status:
    """A workstation, what it has and what it is doing."""

    workstation: Listed | None  # None: it was never made
    home: str | None
    environment: str | None  # the installed prefix, when it is the one that the lock asks for now
    running: list[Job]


def status(target: Target) -> Status:
    """As it is now. Raises TransportError when it should answer and does not."""
    machine = target.find()
    if machine is None:
        return Status(None, None, None, [])
    ready = environment.known(target, machine)
    running: list[Job] = []
    if machine.state is State.RUNNING:
        with agent_client(target) as client:
            running = [job for job in jobs_of(client, machine) if job.status == "running"]
    return Status(describe(machine), machine.home, ready.prefix if ready else None, running)
