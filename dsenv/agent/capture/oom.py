"""Whether the kernel killed something in our control group for want of memory."""

from __future__ import annotations

import os
from contextlib import suppress

from dsenv.agent.capture import groups
from dsenv.agent.light import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Iterator, Optional

CAUSE = "out-of-memory"


def kills(root: str = "/sys/fs/cgroup", membership: str = "/proc/self/cgroup") -> Optional[int]:
    """How many processes it has killed so far; None where nobody counts (no cgroups, or a kernel before 4.13)."""
    for file in _counters(root, membership):
        found = counted(file)
        if found is not None:
            return found
    return None


def spare() -> None:
    """Ask the kernel to kill others first: whoever writes the record is small. Only with the right to do so.

    A child that was started before is not spared.
    """
    with suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="utf-8") as file:
        file.write("-1000")


def counted(file: str) -> Optional[int]:
    """The number that one such file says; None when it says none."""
    try:
        with open(file, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                name, _, number = line.partition(" ")
                if name == "oom_kill":
                    return int(number)
    except (OSError, ValueError):
        pass
    return None


def _counters(root: str, membership: str) -> Iterator[str]:
    """Where the count may be."""
    for group in groups.memory(membership, root):
        name = "memory.events" if group.unified else "memory.oom_control"
        yield os.path.join(group.folder, name)
        yield os.path.join(group.base, name)
