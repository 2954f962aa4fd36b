"""The conditions of a reproduction as its process is told them, and what that process says that it could not do."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
from pathlib import Path
from typing import Any

from dsenv.agent.capture import oom
from dsenv.agent.replay import cgroup, memory
from dsenv.workflows.reproduce.model import Conditions, Item, Plan

_REPORT, _PEAK, _KILLED = "report.json", "peak", "killed"
# A second run has a little more, so that it is stopped by what it may reserve, and not killed first.
_SPARE = 64 << 20
# In production capture was in the container, too; here the command has the group for itself.
_CAPTURE = 12 << 20


def in_python(plan: Plan) -> dict[str, Any]:
    """What every Python of the command is told, see `dsenv.agent.replay.install`."""
    held = plan.conditions
    return {
        "variables": dict(held.variables),
        "own": {name: plan.env[name] for name in held.variables if name in plan.env},
        "processors": {"count": held.cpu_count, "usable": held.usable},
        "threads": held.threads,
        "clock": held.clock - time.time_ns() // 1000 if held.clock else 0,
    }


def limits(held: Conditions, folder: Path, reserved: int) -> dict[str, Any]:
    """The `limits` of `dsenv.agent.rerun`. With `reserved`, memory runs out in the program and not in the kernel."""
    ulimits = {name: list(pair) for name, pair in held.ulimits.items()}
    if reserved:
        ulimits["data"] = [reserved, -1]
    return {
        "ulimits": ulimits,
        "memory": _memory(held.memory, reserved) if held.memory else 0,
        "memory_kill": held.memory_kill,
        "memory_by": held.memory_by,
        "quota": held.quota,
        "affinity": held.affinity,
        **{name: str(folder / file) for name, file in (("report", _REPORT), ("peak", _PEAK), ("killed", _KILLED))},
    }


def _memory(recorded: int, reserved: int) -> int:
    less = _CAPTURE if recorded > 8 * _CAPTURE else 0
    return recorded - less + (recorded // 4 + _SPARE if reserved else 0)


@dataclasses.dataclass(frozen=True)
class Report:
    """What became of the limits.

    `kills` is how many processes were killed for want of memory; `reserved` what the largest of all had reserved when
    it was largest, in bytes.
    """

    refused: tuple[Item, ...] = ()
    groups: tuple[str, ...] = ()
    kills: int = 0
    reserved: int = 0

    def remove(self) -> None:
        """Remove the control groups. Their processes have been killed, and are gone in a moment."""
        left, deadline = list(self.groups), time.monotonic() + 2
        while (left := cgroup.remove(left)) and time.monotonic() < deadline:
            time.sleep(0.01)


def report(folder: Path) -> Report:
    """What the process of a reproduction in `folder` reported. It ran recorded code, so its words are checked."""
    try:
        told = json.loads((folder / _REPORT).read_text(encoding="utf-8"))
        groups = tuple(str(name) for name in told["groups"] if Path(str(name)).name.startswith(cgroup.PREFIX))
        refused = tuple(Item(str(what), str(name), str(why)) for what, name, why in told["refused"])
    except (OSError, ValueError, KeyError, TypeError):
        return Report()
    reserved = 0
    with contextlib.suppress(OSError):
        sample = (folder / _PEAK).read_bytes()
        if len(sample) == memory.SAMPLE.size:
            reserved = memory.SAMPLE.unpack(sample)[0]
    kills = sum(cgroup.kills(group) for group in groups) + (oom.counted(str(folder / _KILLED)) or 0)
    return Report(refused, groups, kills, reserved)
