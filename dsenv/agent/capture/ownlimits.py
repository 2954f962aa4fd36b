"""Limits that we inherited are meant for the command: they must not keep its record from being written."""

from __future__ import annotations

from contextlib import suppress

from dsenv.agent import fingerprint
from dsenv.agent.light import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Dict, List

_OURS = ("FSIZE", "NOFILE", "DATA", "AS", "STACK")


def lift() -> Dict[str, List[int]]:
    """Raise our own soft limits as far as we may, once the command runs. Returns all limits as they were.

    What the hard limits forbid stays forbidden.
    """
    had = fingerprint.ulimits()
    if had:
        import resource

        for name in _OURS:
            number = getattr(resource, "RLIMIT_" + name, None)
            if number is not None:
                with suppress(OSError, ValueError):
                    hard = resource.getrlimit(number)[1]
                    resource.setrlimit(number, (hard, hard))
    return had
