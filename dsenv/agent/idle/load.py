"""How much is computed, read, written and sent: for work that nobody announced."""

from __future__ import annotations

import os
import subprocess
from typing import Any, Dict, List, Optional

from dsenv.agent.idle.limits import Limits
from dsenv.agent.idle.people import Reason

# Where the processor time of this machine, or of this container, is counted, in nanoseconds and microseconds.
_USAGE = (("/sys/fs/cgroup/cpuacct/cpuacct.usage", 1e9), ("/sys/fs/cgroup/cpu,cpuacct/cpuacct.usage", 1e9))
_STAT = "/sys/fs/cgroup/cpu.stat"
_SECTOR = 512.0


def sample(now: float, container: bool) -> Dict[str, float]:
    """Counters that only grow: `at` and `cpu` in seconds, `disk` and `network` in bytes. What is unknown is absent."""
    found: Dict[str, Optional[float]] = {"cpu": _cpu(), "network": _network()}
    found["disk"] = None if container else _disk()  # a container sees the disks of its host, with all others' work
    return {"at": now, **{name: value for name, value in found.items() if value is not None}}


def reasons(before: Dict[str, Any], after: Dict[str, float], limits: Limits) -> List[Reason]:
    """What went over its floor between two samples, and the GPU as it is now."""
    found = []
    seconds = after["at"] - float(before.get("at", after["at"]))
    floors = (("cpu", limits.cpu, "{:.2f} processors in use"), ("disk", limits.disk, "{:.1e} B/s of disk"))
    for name, floor, said in (*floors, ("network", limits.network, "{:.1e} B/s of network")):
        if seconds > 0 and name in before and name in after:
            rate = (after[name] - float(before[name])) / seconds
            if rate > floor:
                found.append(Reason(name, said.format(rate)))
    gpu = _gpu()
    if gpu > limits.gpu:
        found.append(Reason("gpu", "GPU at {:.0f} %".format(gpu)))
    return found


def _cpu() -> Optional[float]:
    for file, unit in _USAGE:
        try:
            with open(file) as source:
                return int(source.read()) / unit
        except (OSError, ValueError):
            continue
    try:
        with open(_STAT) as source:
            return next(int(line.split()[1]) / 1e6 for line in source if line.startswith("usage_usec"))
    except (OSError, ValueError, StopIteration):
        return _processors()


def _processors() -> Optional[float]:
    try:
        with open("/proc/stat") as source:
            fields = [int(word) for word in source.readline().split()[1:]]
    except (OSError, ValueError):
        return None
    idle = sum(fields[3:5])  # idle and waiting for a disk
    return (sum(fields[:8]) - idle) / float(os.sysconf("SC_CLK_TCK"))


def _disk() -> Optional[float]:
    """Whole disks only: a partition's sectors are its disk's too."""
    total, known = 0.0, False
    try:
        with open("/proc/diskstats") as source:
            for line in source:
                fields = line.split()
                if os.path.isdir("/sys/block/{}/device".format(fields[2])):
                    total += (int(fields[5]) + int(fields[9])) * _SECTOR
                    known = True
    except (OSError, ValueError, IndexError):
        return None
    return total if known else None


def _network() -> Optional[float]:
    total = 0.0
    try:
        with open("/proc/net/dev") as source:
            for line in source:
                name, found, counters = line.partition(":")
                if found and name.strip() != "lo":
                    fields = counters.split()
                    total += int(fields[0]) + int(fields[8])
    except (OSError, ValueError, IndexError):
        return None
    return total


def _gpu() -> float:
    """Percent of the busiest GPU; 0 where there is none."""
    command = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
    if not os.path.exists("/proc/driver/nvidia"):
        return 0.0
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=10, check=False)
        return max((float(line) for line in done.stdout.decode().split()), default=0.0)
    except (OSError, ValueError, subprocess.SubprocessError):
        return 0.0
