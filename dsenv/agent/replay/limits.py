"""What the kernel holds the command to: set in the command's own process, just before it becomes the command.

What prepares and captures stays free of it: a limit of eight descriptors must not keep a record from being written.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Any, Callable, Dict, List, Mapping, Sequence


def apply(ulimits: Mapping[str, Sequence[int]]) -> None:
    """Set limits of this process: name to soft and hard, -1 for none. What is refused stays as it is.

    Hard limits are lowered for good. Called between fork and exec, so it imports only what is loaded.
    """
    import resource

    for name, (soft, hard) in ulimits.items():
        number = getattr(resource, "RLIMIT_" + name.upper(), None)
        if number is None:
            continue
        wanted = [resource.RLIM_INFINITY if value < 0 else value for value in (soft, hard)]
        with suppress(OSError, ValueError):
            resource.setrlimit(number, (wanted[0], wanted[1]))
            continue
        highest = resource.getrlimit(number)[1]
        with suppress(OSError, ValueError):
            resource.setrlimit(number, (_least(wanted[0], highest, resource.RLIM_INFINITY), highest))


def _least(a: int, b: int, infinity: int) -> int:
    if infinity in (a, b):
        return b if a == infinity else a
    return min(a, b)


def preparation(plan: Mapping[str, Any], groups: Sequence[str]) -> Callable[[], None]:
    """What `capture` calls in the command's process. `plan` has `ulimits`; `groups` are control groups to enter.

    It raises OSError when a group cannot be entered: without its limits the command would be another one.
    """
    import resource  # noqa: F401 - loaded before the limit of open files counts

    from dsenv.agent.replay import cgroup

    ulimits: Dict[str, List[int]] = dict(plan.get("ulimits") or {})

    def prepare() -> None:
        for group in groups:
            cgroup.enter(group)
        apply(ulimits)

    return prepare


def use_processors(count: int) -> None:
    """Let this process, and what it starts, run on `count` processors of those that it may use."""
    if count and sys.platform == "linux":
        usable = sorted(os.sched_getaffinity(0))
        with suppress(OSError):
            os.sched_setaffinity(0, usable[:count])
