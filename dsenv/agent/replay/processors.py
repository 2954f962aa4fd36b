"""What a Python program is told of the processors, where the machine has others."""

from __future__ import annotations

import os
from typing import Any, Dict

from dsenv.agent.replay.redirect import OWN


def install(config: Dict[str, Any]) -> None:
    """`count` is what `os.cpu_count` answers, `usable` how many `os.sched_getaffinity` does; 0 is as it is here."""
    count, usable = (int(config.get(name) or 0) for name in ("count", "usable"))
    if count:
        _replace("cpu_count", lambda: count)
    if usable and hasattr(os, "sched_getaffinity"):
        real = os.sched_getaffinity
        own = frozenset(real(0))
        _replace("sched_getaffinity", lambda pid: _told(set(real(pid)), set(own), usable))


def _told(found: "set[int]", own: "set[int]", usable: int) -> "set[int]":
    """A program that has chosen processors since is told which."""
    return set(range(usable)) if found == own else found


def _replace(name: str, function: Any) -> None:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = getattr(os, name).__doc__
    function.__module__ = "posix"
    function.__code__ = function.__code__.replace(co_filename=OWN)
    setattr(os, name, function)
