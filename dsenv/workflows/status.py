"""One workstation in detail."""

from __future__ import annotations

import dataclasses

from dsenv.models.machine import Limits, State
from dsenv.workflows import environment
from dsenv.workflows.awake import Awake, asked
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
    awake: Awake | None = None  # what keeps it up; None where nothing watches, or it is not running
    machine_limits: Limits | None = None  # when it stops by itself


def status(target: Target) -> Status:
    """As it is now. Raises TransportError when it should answer and does not."""
    machine = target.find()
    if machine is None:
        return Status(None, None, None, [])
    ready = environment.known(target, machine)
    running: list[Job] = []
    awake: Awake | None = None
    if machine.state is State.RUNNING:
        with agent_client(target, machine) as client:
            running = [job for job in jobs_of(client, machine) if job.status == "running"]
            awake = asked(client) if machine.limits else None
    listed = describe(machine, target.provider)
    return Status(listed, machine.home, ready.prefix if ready else None, running, awake, machine.limits)
