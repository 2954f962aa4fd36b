"""Come back to a run: its output from the beginning or from now, its input, its signals, its outputs."""

from __future__ import annotations

from dsenv.events import Cancel, Emit
from dsenv.sync.client import RefusedError, as_error
from dsenv.sync.follow import Console, Follow
from dsenv.workflows import pull
from dsenv.workflows.ps import find
from dsenv.workflows.run import Ran
from dsenv.workflows.target import Target, agent_client


def attach(target: Target, word: str, console: Console, *, emit: Emit, cancel: Cancel) -> Ran:
    """Follow a run from its first byte to its end, then bring its outputs back. Ended already is fine."""
    client = agent_client(target)
    machine = client.machine
    try:
        job = find(client, machine, word)
        client.request("attach", job=job.id, offset=0)
        following = Follow(job.id, lambda: agent_client(target), console, emit, cancel, terminal=job.tty)
        outcome, outputs = pull.follow(target, machine, following, client, job.id, emit, cancel)
    except RefusedError as refused:
        raise as_error(refused, machine) from refused
    finally:
        client.close()
    return Ran(
        id=job.id,
        workstation=target.identity.name,
        command=job.command,
        task=job.task,
        status=outcome.status,
        exit=outcome.exit,
        signal=outcome.signal,
        store=None,
        outputs=outputs,
    )
