"""Runs on a workstation."""

from __future__ import annotations

import dataclasses
from typing import Any

from dsenv.agent.jobs import SESSION
from dsenv.errors import UnknownRunError
from dsenv.models.machine import Machine
from dsenv.sync.client import AgentClient, RefusedError, as_error
from dsenv.workflows.target import Target, agent_client


@dataclasses.dataclass(frozen=True)
class Job:
    """A run as its workstation knows it."""

    id: str
    status: str  # running | done | lost: its workstation went away under it
    exit: int | None
    signal: int | None
    command: list[str]
    task: str | None
    created: int  # microseconds since the epoch
    ended: int | None
    root: str
    log_bytes: int
    tty: bool = False  # whether it has a terminal


@dataclasses.dataclass(frozen=True)
class Jobs:
    """Runs, newest first."""

    workstation: str
    runs: list[Job]


def ps(target: Target, *, everything: bool = False) -> Jobs:
    """What runs now; with `everything`, what has ended as well. Raises WorkstationNotReadyError, TransportError."""
    with agent_client(target) as client:
        found = jobs_of(client, client.machine)
    return Jobs(target.identity.name, [job for job in found if everything or job.status == "running"])


def jobs_of(client: AgentClient, machine: Machine) -> list[Job]:
    """All runs that the workstation remembers, newest first."""
    client.request("jobs")
    try:
        rows = client.answer()["jobs"]
    except RefusedError as refused:
        raise as_error(refused, machine) from refused
    return [_job(row) for row in reversed(rows)]


def find(client: AgentClient, machine: Machine, word: str) -> Job:
    """The run that `word` means: an id, a unique part of one, or `last`, no shell. Raises UnknownRunError."""
    found = jobs_of(client, machine)
    runs = [job for job in found if not job.id.startswith(SESSION)]
    chosen = runs[:1] if word == "last" else [job for job in found if job.id == word]
    chosen = chosen or [job for job in found if word in job.id]
    if len(chosen) == 1:
        return chosen[0]
    if chosen:
        names = "\n".join(job.id for job in chosen[:20])
        raise UnknownRunError(f"{word} could be {len(chosen)} runs", detail=names, hint="type more of the id")
    raise UnknownRunError(f"there is no run {word} on {machine.identity.name}", hint="dsenv ps --all")


def _job(row: dict[str, Any]) -> Job:
    return Job(
        id=str(row["id"]),
        status=str(row["status"]),
        exit=row.get("exit"),
        signal=row.get("signal"),
        command=[str(word) for word in row.get("argv") or []],
        task=row.get("task"),
        created=int(row.get("created") or 0),
        ended=row.get("ended"),
        root=str(row.get("root") or ""),
        log_bytes=int(row.get("log_bytes") or 0),
        tty=bool(row.get("tty")),
    )
