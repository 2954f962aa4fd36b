"""What a workflow tells its listeners while it works.

A workflow takes `emit: Emit` and `cancel: Cancel` and never prints or asks. The line renderer, the
JSON-lines renderer, the TUI and the tests are four listeners of the same events.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any, Literal


@dataclasses.dataclass(frozen=True, slots=True)
class StepStarted:
    """A named piece of work begins; `step` is a stable word for programs, `title` is for people."""

    step: str
    title: str


@dataclasses.dataclass(frozen=True, slots=True)
class StepFinished:
    """The piece of work ended well; `note` says what it came to (a count, a rung, a version)."""

    step: str
    title: str
    seconds: float
    note: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class StepFailed:
    """The piece of work ended in an error, which is raised as well."""

    step: str
    title: str
    seconds: float
    error: str


@dataclasses.dataclass(frozen=True, slots=True)
class Progress:
    """How far a step is. A later Progress of the same step replaces an earlier one. `total` 0 is unknown."""

    step: str
    done: int
    total: int
    unit: str


@dataclasses.dataclass(frozen=True, slots=True)
class Notice:
    """Something to know that stops nothing."""

    message: str
    level: Literal["info", "warning"] = "info"


@dataclasses.dataclass(frozen=True, slots=True)
class Output:
    """Bytes that a command on a workstation or in a reproduction wrote."""

    stream: Literal["stdout", "stderr"]
    data: bytes


Event = StepStarted | StepFinished | StepFailed | Progress | Notice | Output
Emit = Callable[[Event], None]


def ignore(event: Event) -> None:
    """The listener for callers that want only the result."""


class Cancelled(BaseException):
    """Raised inside a workflow whose `Cancel` was set. Not an Exception, so that no handler eats it."""


class Cancel:
    """A request to stop, safe to set from another thread or a signal handler."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        self._event.set()

    @property
    def requested(self) -> bool:
        return self._event.is_set()

    def check(self) -> None:
        """Raise `Cancelled` when a stop was asked for. Call it between pieces of work."""
        if self._event.is_set():
            raise Cancelled

    def wait(self, seconds: float) -> bool:
        """Sleep, but not past the request. True when it came."""
        return self._event.wait(seconds)


class StepNote:
    """Handed out by `step`; what is set as `note` ends up in `StepFinished`. `failed` makes it a `StepFailed`, for
    work that came to an end without an error of ours but did not do what it was for."""

    note: str = ""
    failed: bool = False


@contextmanager
def step(emit: Emit, name: str, title: str) -> Iterator[StepNote]:
    """Emit started / finished / failed around a block, with the time it took."""
    emit(StepStarted(name, title))
    begun = monotonic()
    holder = StepNote()
    try:
        yield holder
    except BaseException as error:
        emit(StepFailed(name, title, monotonic() - begun, str(error) or type(error).__name__))
        raise
    seconds = monotonic() - begun
    if holder.failed:
        emit(StepFailed(name, f"{title}: {holder.note}" if holder.note else title, seconds, holder.note))
    else:
        emit(StepFinished(name, title, seconds, holder.note))


def as_json(event: Event) -> dict[str, Any]:
    """The event as a JSON object: its fields plus `event`, its kind in kebab-case. Bytes are decoded."""
    kind = "".join(f"-{c.lower()}" if c.isupper() else c for c in type(event).__name__).lstrip("-")
    fields = {f.name: getattr(event, f.name) for f in dataclasses.fields(event)}
    return {"event": kind} | {
        name: value.decode("utf-8", "replace") if isinstance(value, bytes) else value for name, value in fields.items()
    }
