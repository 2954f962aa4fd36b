"""Bring outputs back from the workstation."""

from __future__ import annotations

from dsenv.errors import DsenvError
from dsenv.events import Cancel, Emit, Notice, step
from dsenv.models.machine import Machine
from dsenv.sync.client import AgentClient
from dsenv.sync.follow import Follow, Outcome
from dsenv.sync.ignore import Wanted
from dsenv.sync.manifest import Memory
from dsenv.sync.pull import CAP, STEP, Pull, Pulled
from dsenv.workflows import records
from dsenv.workflows.ps import find
from dsenv.workflows.target import Target, agent_client

UNLIMITED = 1 << 62  # bytes


def pull(
    target: Target, patterns: list[str], *, job: str | None = None, emit: Emit, cancel: Cancel, cap: int = CAP
) -> Pulled:
    """Bring back what matches `patterns` (default: the project's), from the tree or from the one that `job` had."""
    with agent_client(target) as client:
        machine = client.machine
        pulled = over(client, target, machine, patterns, job=job, emit=emit, cancel=cancel, cap=cap)
        if job:
            records.bring(client, target, machine, find(client, machine, job).id, emit=emit, cancel=cancel)
        return pulled


def over(
    client: AgentClient,
    target: Target,
    machine: Machine,
    patterns: list[str],
    *,
    job: str | None,
    emit: Emit,
    cancel: Cancel,
    cap: int = CAP,
) -> Pulled:
    """The same over an open conversation."""
    wanted = Wanted(patterns or target.project.config.sync.pull)
    with target.locked(cancel), step(emit, STEP, "outputs") as note:
        root = machine.tree
        if job:
            found = find(client, machine, job)
            job, root = found.id, found.root
        memory = Memory.read(target.sync_file)
        try:
            pulled = Pull(client, machine, target.project.root, memory).run(root, wanted, emit, cancel, cap=cap)
        finally:
            memory.write(target.sync_file)
        if job:
            client.request("release", job=job)
            client.answer()
        note.note = f"{len(pulled.files)} new or changed"
    _tell(pulled, target.identity.name, emit)
    return pulled


def follow(
    target: Target, machine: Machine, following: Follow, client: AgentClient, job: str, emit: Emit, cancel: Cancel
) -> tuple[Outcome, Pulled]:
    """Follow a run to its end, then bring its outputs back: a failure of that is told, and changes nothing else."""
    try:
        outcome = following.run(client)
        if outcome.status == "running" or following.client is None:
            return outcome, Pulled()
        try:
            pulled = over(following.client, target, machine, [], job=job, emit=emit, cancel=cancel)
        except DsenvError as error:
            emit(Notice(f"the outputs were not brought back: {error.message}; next: dsenv pull", "warning"))
            return outcome, Pulled()
        records.bring(following.client, target, machine, job, emit=emit, cancel=cancel)
        return outcome, pulled
    finally:
        following.close()


def _tell(pulled: Pulled, machine: str, emit: Emit) -> None:
    for path, other in pulled.both.items():
        emit(Notice(f"{path} changed here and on {machine}; the other one is in {other}", "warning"))
    for path, size in pulled.too_large.items():
        emit(Notice(f"{path} is large ({size / 1e6:.0f} MB); bring it with: dsenv pull --all {path}"))
    for path, reason in pulled.refused.items():
        emit(Notice(f"{path} was not brought back: {reason}", "warning"))
    for path in pulled.source_changed:
        emit(Notice(f"{path} was changed on {machine}; the one here is left as it is", "warning"))
