"""Into the workstation: a shell or a command, with nothing synced before it and nothing recorded of it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

from dsenv.agent import runid
from dsenv.agent.jobs import SESSION
from dsenv.events import Cancel, Emit
from dsenv.sync.client import RefusedError, as_error
from dsenv.sync.follow import Console, Follow, Outcome
from dsenv.transports.base import Pty
from dsenv.workflows import environment
from dsenv.workflows.target import Target, agent_client

_PATIENCE_SECONDS = 20  # that it outlives its connection: time to connect again
_SHELL = ("/bin/sh", "-c", 'exec "${SHELL:-/bin/sh}" -l')


def ssh(
    target: Target, argv: Sequence[str], console: Console, *, pty: Pty | None, emit: Emit, cancel: Cancel
) -> Outcome:
    """Run `argv` (default: a login shell) in the workstation's home, in the project's environment if it is there.

    The terminal is the agent's: an sshd that runs unprivileged cannot make one everywhere. It ends with the
    connection, unlike a run.
    """
    client = agent_client(target)
    machine = client.machine
    request: dict[str, Any] = {
        "job": SESSION + runid.new(),
        "root": machine.home,
        "argv": list(argv or _SHELL),
        "stdin": True,
        "tty": pty is not None,
        "session": _PATIENCE_SECONDS,
    }
    if pty:
        request |= {"rows": pty.rows, "columns": pty.columns, "term": pty.term}
    try:
        ready = environment.known(target, machine)
        client.request("run", prefix=ready.prefix if ready else None, **request)
        answer = client.answer()
        following = Follow(str(answer["job"]), lambda: agent_client(target), console, emit, cancel)
        with contextlib.closing(following):
            return following.run(client)
    except RefusedError as refused:
        raise as_error(refused, machine) from refused
    finally:
        client.close()
