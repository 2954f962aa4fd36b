"""The output of a run, from its beginning."""

from __future__ import annotations

import contextlib
import dataclasses

from dsenv.events import Cancel, Emit
from dsenv.sync.client import RefusedError, as_error
from dsenv.sync.follow import Console, Control, Follow, Outcome
from dsenv.transports.base import Stream
from dsenv.workflows.ps import Job, find
from dsenv.workflows.target import Target, agent_client


class Kept:
    """A console that keeps all that is written, as text in the end. A `dsenv.sync.follow.Console`."""

    def __init__(self) -> None:
        self._streams: dict[Stream, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}

    def write(self, stream: Stream, data: bytes) -> None:
        self._streams[stream] += data

    def attach(self, control: Control) -> None:
        """Nothing is sent to the run."""

    def text(self, stream: Stream) -> str:
        """What was written; bytes that are no UTF-8 become U+FFFD."""
        return self._streams[stream].decode("utf-8", "replace")


@dataclasses.dataclass(frozen=True)
class Logs:
    """A run and all that it has written until now."""

    id: str
    command: list[str]
    status: str  # running | done | lost
    exit: int | None
    signal: int | None
    stdout: str
    stderr: str

    @classmethod
    def of(cls, job: Job, outcome: Outcome, kept: Kept) -> Logs:
        return cls(
            id=job.id,
            command=job.command,
            status=outcome.status,
            exit=outcome.exit,
            signal=outcome.signal,
            stdout=kept.text("stdout"),
            stderr=kept.text("stderr"),
        )


def logs(
    target: Target, word: str, console: Console, *, follow: bool, emit: Emit, cancel: Cancel
) -> tuple[Job, Outcome]:
    """What the run has written until now; with `follow`, until it ends. Input is not forwarded."""
    client = agent_client(target)
    machine = client.machine
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
