"""All processes of the machine, read once. See proc(5)."""

from __future__ import annotations

import os
from typing import Dict, Iterator, List, NamedTuple

TICKS = float(os.sysconf("SC_CLK_TCK")) if hasattr(os, "sysconf") else 100.0


class Process(NamedTuple):
    """A process; `began` is in seconds since the kernel started."""

    pid: int
    parent: int
    name: str
    words: List[str]
    began: float

    def says(self, *wanted: str) -> bool:
        """Whether each of `wanted` is part of one of the words that it was started with."""
        return all(any(part in word for word in self.words) for part in wanted)


class Table:
    """The processes by pid."""

    def __init__(self, proc: str = "/proc") -> None:
        self.proc = proc
        self.processes: Dict[int, Process] = {}
        self._children: Dict[int, List[Process]] = {}
        for name in os.listdir(proc):
            if name.isdigit():
                self._add(int(name))

    def _add(self, pid: int) -> None:
        try:
            with open("{}/{}/stat".format(self.proc, pid), "rb") as source:
                head, _, tail = source.read().rpartition(b")")
            with open("{}/{}/cmdline".format(self.proc, pid), "rb") as source:
                words = source.read(65536).decode("utf-8", "replace").rstrip("\0").split("\0")
        except OSError:
            return  # it has ended meanwhile
        fields = tail.split()
        if fields[0] in (b"Z", b"X"):
            return
        comm = head.partition(b"(")[2].decode("utf-8", "replace")
        process = Process(pid, int(fields[1]), comm, words, int(fields[19]) / TICKS)
        self.processes[pid] = process
        self._children.setdefault(process.parent, []).append(process)

    def __iter__(self) -> Iterator[Process]:
        return iter(list(self.processes.values()))

    def children(self, process: Process) -> List[Process]:
        """What it has started itself."""
        return self._children.get(process.pid, [])

    def below(self, process: Process) -> List[Process]:
        """All that descends from it."""
        found: List[Process] = []
        waiting = list(self.children(process))
        while waiting:
            current = waiting.pop()
            found.append(current)
            waiting += self.children(current)
        return found

    def above(self, process: Process) -> Iterator[Process]:
        """What it descends from, nearest first."""
        seen = {process.pid}
        while process.parent in self.processes and process.parent not in seen:
            process = self.processes[process.parent]
            seen.add(process.pid)
            yield process

    def environ(self, process: Process) -> Dict[str, str]:
        """The variables that it was started with; empty when they are not for us to see."""
        try:
            with open("{}/{}/environ".format(self.proc, process.pid), "rb") as source:
                pairs = source.read(1 << 20).decode("utf-8", "replace").split("\0")
        except OSError:
            return {}
        return dict(pair.split("=", 1) for pair in pairs if "=" in pair)
