"""Ports of the workstation, here."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Sequence

from dsenv.errors import HostKeyError, TransportError, UsageError, WorkstationNotReadyError
from dsenv.events import Cancel, Emit, Notice
from dsenv.models.machine import State
from dsenv.workflows.target import Target

_ALIVE_SECONDS = 5.0
_MIN_WAIT_SECONDS, _MAX_WAIT_SECONDS = 0.5, 20.0


@dataclasses.dataclass(frozen=True)
class Forwarded:
    """A port here that leads to one there."""

    local_port: int
    remote_port: int
    url: str


def parse(words: Sequence[str]) -> list[tuple[int, int]]:
    """`8888` or `8888:9999` (here:there) as pairs. Raises UsageError."""
    pairs = []
    for word in words:
        here, _, there = word.partition(":")
        ports = (here, there or here)
        if not all(part.isascii() and part.isdigit() and 0 <= int(part) <= 65535 for part in ports) or ports[1] == "0":
            raise UsageError(f"{word} is not a port", hint="for example: dsenv forward 8888, or 8888:9999 (here:there)")
        pairs.append((int(ports[0]), int(ports[1])))
    return pairs


def _is_off(target: Target) -> bool:
    """Whether it was switched off or destroyed, and so does not come back by itself."""
    machine = target.find()
    return machine is None or machine.state is State.STOPPED


def forward(
    target: Target,
    ports: Sequence[tuple[int, int]],
    ready: Callable[[list[Forwarded]], None],
    *,
    emit: Emit,
    cancel: Cancel,
) -> None:
    """Forward until `cancel`; `ready` is called once when all ports listen.

    A connection that is cut is made again, to wherever the workstation is by then, and the ports here stay the same.
    Raises TransportError when it cannot be made at first, WorkstationNotReadyError when the workstation is off.
    """
    wanted, told, wait = list(ports), False, 0.0
    while not cancel.wait(wait):
        try:
            with contextlib.ExitStack() as stack:
                transport = stack.enter_context(target.provider.transport(target.machine()))
                for number, (here, there) in enumerate(wanted):
                    forwarded = stack.enter_context(transport.forward(here, there))
                    wanted[number] = (forwarded.local_port, there)
                if told:
                    emit(Notice("connected again"))
                else:
                    ready([Forwarded(here, there, f"http://127.0.0.1:{here}") for here, there in wanted])
                told, wait = True, 0.0
                while not cancel.wait(_ALIVE_SECONDS):
                    transport.run(["true"], timeout=_ALIVE_SECONDS)
        except HostKeyError:
            raise
        except (TransportError, WorkstationNotReadyError) as error:
            if not told:
                raise
            if _is_off(target):
                target.machine()  # raises that it is off, which the cut connection does not tell
                raise
            if not wait:
                emit(Notice(f"{error.message}; connecting again", "warning"))
            wait = min(_MAX_WAIT_SECONDS, wait * 2 or _MIN_WAIT_SECONDS)
