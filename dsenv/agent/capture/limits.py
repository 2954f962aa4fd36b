"""The memory that the command may use, and how much of it is used: from the control groups around us, v1 and v2."""

from __future__ import annotations

import os

from dsenv.agent.capture import groups
from dsenv.agent.light import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Dict, Iterator, List, Optional, Tuple

_UNLIMITED = 1 << 60  # v1 says a number near 2**63 for no limit
_READ = 4096
_RECLAIMABLE = (b"inactive_file", b"active_file", b"total_inactive_file", b"total_active_file")
_NEAR = 0.75  # of the limit; further away, what the kernel would take back is not asked for


class Use(NamedTuple):
    """Bytes that are used and cannot be taken back, and the limit of the group that is nearest to its own."""

    used: int
    limit: int

    @property
    def share(self) -> float:
        """Part of the limit."""
        return self.used / self.limit


class _Group(NamedTuple):
    usage: int  # open files
    stat: int
    limit: int


class MemoryLimits:
    """The groups around a process that have a limit. Their files are opened once, because they are read often."""

    def __init__(self, found: List[_Group]) -> None:
        self._groups = found

    @classmethod
    def around(cls, pid: int, root: str = "/sys/fs/cgroup", proc: str = "/proc") -> "MemoryLimits":
        """Those of a process; none where there are no control groups."""
        found = []
        for folder, names in _folders(os.path.join(proc, str(pid), "cgroup"), root):
            limit = _number(os.path.join(folder, names[1]))
            if limit is None or not 0 < limit < _UNLIMITED:
                continue
            try:
                usage = os.open(os.path.join(folder, names[0]), os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                continue
            try:
                stat = os.open(os.path.join(folder, "memory.stat"), os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                os.close(usage)
                continue
            found.append(_Group(usage, stat, limit))
        return cls(found)

    def __bool__(self) -> bool:
        return bool(self._groups)

    def use(self) -> Optional[Use]:
        """What is used now, in the group that is nearest to its limit. Pages of files that can be dropped are free."""
        nearest: Optional[Use] = None
        for group in self._groups:
            try:
                used = int(os.pread(group.usage, _READ, 0))
                if used > group.limit * _NEAR:
                    used = max(0, used - _reclaimable(os.pread(group.stat, _READ, 0)))
            except (OSError, ValueError):
                continue
            found = Use(used, group.limit)
            if nearest is None or found.share > nearest.share:
                nearest = found
        return nearest

    def close(self) -> None:
        """Look no more."""
        for group in self._groups:
            os.close(group.usage)
            os.close(group.stat)
        self._groups = []


def _reclaimable(text: bytes) -> int:
    """v1 has counts of the group alone, and with those below it as `total_`, which are what the limit counts."""
    found: Dict[bytes, int] = {}
    for line in text.splitlines():
        name, _, number = line.partition(b" ")
        if name in _RECLAIMABLE and number.isdigit():
            found[name] = int(number)
    total = [found[name] for name in found if name.startswith(b"total_")]
    return sum(total) if total else sum(found.values())


def _folders(membership: str, root: str) -> Iterator[Tuple[str, Tuple[str, str]]]:
    """Folders of the groups and of those above them, each with its files of usage and limit."""
    for group in groups.memory(membership, root):
        v1 = ("memory.usage_in_bytes", "memory.limit_in_bytes")
        names = ("memory.current", "memory.max") if group.unified else v1
        folder = group.folder
        while folder.startswith(group.base):
            yield folder, names
            if folder == group.base:
                break
            folder = os.path.dirname(folder)


def _number(path: str) -> Optional[int]:
    try:
        with open(path, encoding="utf-8") as file:
            return int(file.read(64))
    except (OSError, ValueError):
        return None
