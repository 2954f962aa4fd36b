"""Bring the code to the workstation."""

from __future__ import annotations

import os

from dsenv.errors import StateError
from dsenv.events import Cancel, Emit, Notice, step
from dsenv.models.machine import Machine
from dsenv.sync.client import AgentClient
from dsenv.sync.ignore import Rules
from dsenv.sync.manifest import Memory, survey
from dsenv.sync.push import STEP, Push, Pushed
from dsenv.workflows.target import Target, agent_client


def sync(target: Target, *, emit: Emit, cancel: Cancel, force: bool = False) -> Pushed:
    """Make the tree over there equal to the one here. Raises StateError when a run is using it, unless `force`."""
    with agent_client(target) as client, target.locked(cancel):
        return push(target, client, client.machine, None, emit=emit, cancel=cancel, force=force)


def push(
    target: Target,
    client: AgentClient,
    machine: Machine,
    job: str | None,
    *,
    emit: Emit,
    cancel: Cancel,
    force: bool = False,
) -> Pushed:
    """The same over an open conversation; the caller holds the workstation's lock."""
    with step(emit, STEP, "sync") as note:
        memory = Memory.read(target.sync_file)
        try:
            local = survey(target.project.root, rules(target), memory)
        except OSError as error:
            raise StateError(f"cannot read {error.filename}: {error.strerror}") from error
        pushed = Push(client, machine, local, memory).run(job, emit, cancel, force=force)
        memory.write(target.sync_file)
        note.note = summary(pushed)
    for path, reason in local.refused:
        emit(Notice(f"not synced: {os.fsencode(path).decode('utf-8', 'replace')}: {reason}", "warning"))
    for path in pushed.displaced:
        emit(Notice(f"{path} was changed on the workstation; that version is kept at {pushed.kept}/{path}", "warning"))
    return pushed


def rules(target: Target) -> Rules:
    """What is code in this project: not what is ignored, and not the store of its records."""
    config = target.project.config
    patterns = list(config.sync.ignore)
    folder = config.runs.store
    if folder and "://" not in folder:
        inside = (target.project.root / folder).resolve()
        if inside.is_relative_to(target.project.root) and inside != target.project.root:
            patterns.append(f"/{inside.relative_to(target.project.root).as_posix()}/")
    return Rules(target.project.root, patterns)


def summary(pushed: Pushed) -> str:
    """A sync in a few words."""
    if not pushed.sent and not pushed.deleted:
        return "nothing changed" + (", in a copy: another run uses the files" if pushed.snapshot else "")
    parts = [f"{pushed.sent} sent" + (f" ({_size(pushed.bytes)})" if pushed.bytes else "")]
    if pushed.deleted:
        parts.append(f"{pushed.deleted} deleted")
    if pushed.snapshot:
        parts.append("to a copy: another run uses the files")
    return ", ".join(parts)


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
