"""Watches the memory of a command from a process beside it.

Where there is no control group, it is the limit: it kills as the kernel would. Where there is one, it makes one kill
the whole group where production's did. In both cases it notes how much memory the largest process had reserved, by
which a second run is made to fail with a traceback instead (see `dsenv.workflows.reproduce`).
"""

from __future__ import annotations

import os
import signal
import struct
import time
from contextlib import suppress
from typing import Any, Dict, List, Mapping, NamedTuple

from dsenv.agent.replay import cgroup

INTERVAL = 0.005  # seconds
# What `peak` holds: the reserved and used memory of the largest process when it was largest, in bytes.
SAMPLE = struct.Struct("=QQ")
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER


class Use(NamedTuple):
    """Memory of one process, in bytes: what it reserved to write to (what RLIMIT_DATA counts), and what it uses."""

    reserved: int
    used: int


def use(pid: int) -> Use:
    """The memory of a process. Raises OSError, ValueError for one that has ended."""
    with open("/proc/{}/status".format(pid), encoding="ascii", errors="replace") as file:
        found = {line.partition(":")[0]: line.split()[1] for line in file if line.startswith(("VmData", "Rss"))}
    if "VmData" not in found:
        raise ValueError("it has ended")
    return Use(int(found["VmData"]) * 1024, sum(int(found.get(n, 0)) for n in ("RssAnon", "RssShmem")) * 1024)


def children(pid: int) -> List[int]:
    """All processes below one."""
    found: List[int] = []
    with suppress(OSError):
        for thread in os.listdir("/proc/{}/task".format(pid)):
            with suppress(OSError), open("/proc/{}/task/{}/children".format(pid, thread)) as file:
                found += [int(word) for word in file.read().split()]
    return found + [below for child in found for below in children(child)]


def available() -> bool:
    """Whether this system tells what a process uses and which children it has."""
    return os.path.exists("/proc/self/status") and os.path.exists("/proc/self/task/{}/children".format(os.getpid()))


def watch(plan: Mapping[str, Any], group: str) -> None:
    """Start watching what the calling process will start. `plan` has `memory`, `memory_kill`, `peak` and `killed`.

    `group` is the control group with the limit, empty without one.
    """
    import ctypes

    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    parent = os.getpid()
    if os.fork():
        return
    try:
        os.setsid()
        _Watcher(plan, group, parent).run()
    finally:
        os._exit(0)


class _Watcher:
    def __init__(self, plan: Mapping[str, Any], group: str, parent: int) -> None:
        self.limit, self.whole = int(plan["memory"]), plan.get("memory_kill") == "group"
        self.group, self.parent = group, parent
        self.killed, self.most = str(plan["killed"]), 0
        self.peak = os.open(str(plan["peak"]), os.O_WRONLY | os.O_CREAT, 0o600)
        for stream in (0, 1, 2):
            with suppress(OSError):
                os.close(stream)

    def run(self) -> None:
        before = cgroup.kills(self.group) if self.group else 0
        while os.getppid() == self.parent:
            uses = self._uses()
            if self.group:
                if self.whole and cgroup.kills(self.group) > before:
                    self._kill(uses)
            elif sum(item.used for item in uses.values()) > self.limit:
                # Counted before it is done: the kill may be looked for as soon as it happened.
                self._count()
                self._kill(uses)
            time.sleep(INTERVAL)

    def _uses(self) -> Dict[int, Use]:
        """What the command's processes use; the largest is noted."""
        found: Dict[int, Use] = {}
        for pid in children(self.parent):
            if pid != os.getpid():
                with suppress(OSError, ValueError):
                    found[pid] = use(pid)
        if found:
            largest = max(found.values(), key=lambda item: item.used)
            if largest.used > self.most:
                self.most = largest.used
                os.pwrite(self.peak, SAMPLE.pack(*largest), 0)
        return found

    def _count(self) -> None:
        with open(self.killed, "w") as file:
            file.write("oom_kill 1\n")

    def _kill(self, uses: Dict[int, Use]) -> None:
        ordered = sorted(uses, key=lambda pid: -uses[pid].used)
        for pid in ordered if self.whole else ordered[:1]:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
