"""End a run."""

from __future__ import annotations

import dataclasses

from dsenv.errors import UsageError
from dsenv.sync.client import RefusedError, as_error
from dsenv.workflows.ps import find
from dsenv.workflows.target import Target, agent_client

SIGNALS = ("INT", "TERM", "HUP", "QUIT", "KILL", "USR1", "USR2")


@dataclasses.dataclass(frozen=True)
class Cancelled:
    """A run after `cancel`."""

    id: str
    was_running: bool
    status: str
    exit: int | None
    signal: int | None


def cancel(target: Target, word: str, *, signal: str = "TERM", grace: float = 10.0) -> Cancelled:
    """Send `signal` to the run's process group, and KILL when it still lives after `grace` seconds."""
    name = signal.upper().removeprefix("SIG")
    if name not in SIGNALS:
        raise UsageError(f"{signal} is not a signal that can be sent", hint=f"use one of: {', '.join(SIGNALS)}")
    with agent_client(target) as client:
        machine = client.machine
        job = find(client, machine, word)
        client.request("cancel", job=job.id, signal=name, grace=grace)
        try:
            answer = client.answer()
        except RefusedError as refused:
            raise as_error(refused, machine) from refused
    return Cancelled(job.id, job.status == "running", str(answer["status"]), answer.get("exit"), answer.get("signal"))
