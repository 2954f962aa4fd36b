"""Ports of the workstation, here."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Sequence

from dsenv.errors import UsageError
from dsenv.events import Cancel
from dsenv.workflows.target import Target

_ALIVE_SECONDS = 15.0


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


def forward(
    target: Target, ports: Sequence[tuple[int, int]], ready: Callable[[list[Forwarded]], None], *, cancel: Cancel
) -> None:
    """Forward until `cancel`; `ready` is called once when all ports listen. Raises TransportError when it is cut."""
    with contextlib.ExitStack() as stack:
        transport = stack.enter_context(target.provider.transport(target.machine()))
        opened = []
        for here, there in ports:
            port = stack.enter_context(transport.forward(here, there)).local_port
            opened.append(Forwarded(port, there, f"http://127.0.0.1:{port}"))
        ready(opened)
        while not cancel.wait(_ALIVE_SECONDS):
            transport.run(["true"], timeout=_ALIVE_SECONDS)
