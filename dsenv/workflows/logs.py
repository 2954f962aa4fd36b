"""The output of a run, from its beginning."""

from __future__ import annotations

import contextlib

from dsenv.events import Cancel, Emit
from dsenv.sync.client import RefusedError, as_error
from dsenv.sync.follow import Console, Follow, Outcome
from dsenv.workflows.ps import Job, find
from dsenv.workflows.target import Target, agent_client


def logs(
    target: Target, word: str, console: Console, *, follow: bool, emit: Emit, cancel: Cancel
) -> tuple[Job, Outcome]:
    """What the run has written until now; with `follow`, until it ends. Input is not forwarded."""
    machine = target.machine()
    client = agent_client(target)
    try:
        job = find(client, machine, word)
        client.request("attach", job=job.id, offset=0, follow=follow)
        following = Follow(job.id, lambda: agent_client(target), console, emit, cancel)
        with contextlib.closing(following):
            outcome = following.run(client)
    except RefusedError as refused:
        raise as_error(refused, machine) from refused
    finally:
        client.close()
    return job, outcome
