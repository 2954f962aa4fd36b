"""The control groups that count and limit our memory, as /proc/PID/cgroup names them: cgroup v1 and v2."""

from __future__ import annotations

import os

from dsenv.agent.light import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Iterator


class MemoryGroup(NamedTuple):
    """A group: `path` below `base`, where its kind is mounted. In a container, its own is often mounted as the root."""

    base: str
    path: str
    unified: bool  # cgroup v2

    @property
    def folder(self) -> str:
        """Where its files are, when all groups are seen."""
        return os.path.normpath(os.path.join(self.base, self.path.lstrip("/")))


def memory(membership: str, root: str) -> Iterator[MemoryGroup]:
    """The groups by a file such as /proc/self/cgroup; none when it cannot be read. `root` is /sys/fs/cgroup."""
    try:
        with open(membership, encoding="utf-8", errors="replace") as lines:
            groups = [line.rstrip("\n").split(":", 2) for line in lines]
    except OSError:
        return
    for group in groups:
        if len(group) != 3:
            continue
        _, controllers, path = group
        if controllers == "":
            for base in (root, os.path.join(root, "unified")):
                yield MemoryGroup(base, path, True)
        elif "memory" in controllers.split(","):
            yield MemoryGroup(os.path.join(root, "memory"), path, False)
