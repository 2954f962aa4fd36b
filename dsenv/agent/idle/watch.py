"""One look at the machine, and what follows from it. The system's timer starts this once a minute."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from typing import Any, Dict, List, Optional

from dsenv.agent.idle import decide, limits, load, people, work
from dsenv.agent.idle.table import TICKS, Table

STATE = "/run/dsenv/watch.json"
STOPPED = "/var/lib/dsenv/stopped.json"


def look(state: Optional[Dict[str, Any]], wanted: limits.Limits) -> decide.Seen:
    """Look at everything that could be work."""
    table = Table()
    began = _began()
    now = _now(began)
    with open("/proc/sys/kernel/random/boot_id") as source:
        boot = "{}:{:.2f}".format(source.read().strip(), began)
    counters = load.sample(now, container=began > 60)
    before = (state or {}).get("counters") or {}
    if (state or {}).get("boot") != boot:
        before = {}
    reasons = [*people.sessions(table), *people.terminals(table), *work.jobs(table), *work.kernels(table)]
    return decide.Seen(boot, now, counters, reasons + load.reasons(before, counters, wanted))


def _began() -> float:
    """When this machine was switched on, in seconds since its kernel started: a container is younger than that."""
    with open("/proc/1/stat", "rb") as source:
        return int(source.read().rpartition(b")")[2].split()[19]) / TICKS


def _now(began: float) -> float:
    with open("/proc/uptime") as source:
        return float(source.read().split()[0]) - began


def report() -> Dict[str, Any]:
    """What a client is told: `state` as the last look left it, `now`, and why the machine last switched itself off.

    `now` is in seconds since it was switched on, as the times of the state are. What is not there is None.
    """
    now: Optional[float] = None
    with contextlib.suppress(OSError):
        now = _now(_began())
    return {"state": read_state(), "now": now, "stopped": read_state(STOPPED)}


def main(arguments: List[str]) -> int:
    """Look once, remember it, and switch off when it is time. Exit code 1 when the limits cannot be read."""
    try:
        wanted = limits.read(arguments[0] if arguments else limits.FILE)
    except (OSError, ValueError) as error:
        sys.stderr.write("dsenv watch: {}\n".format(error))
        return 1
    before = read_state()
    state = decide.fold(before, look(before, wanted), wanted)
    _write(STATE, state)
    why = decide.verdict(state, wanted)
    if why:
        sys.stderr.write("dsenv watch: switching off, as {}\n".format(why))
        with contextlib.suppress(OSError):  # a full disk must not keep it up
            _write(STOPPED, {"version": decide.VERSION, "why": why, "at": int(time.time() * 1e6)})
        subprocess.run(wanted.power_off, check=False, stdin=subprocess.DEVNULL)
    return 0


def read_state(file: str = STATE) -> Optional[Dict[str, Any]]:
    """What the last look left; None when there was none or it cannot be read."""
    try:
        with open(file, encoding="utf-8") as source:
            value = json.load(source)
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _write(file: str, value: Dict[str, Any]) -> None:
    os.makedirs(os.path.dirname(file), 0o755, exist_ok=True)
    temporary = "{}.{}".format(file, os.getpid())
    with open(temporary, "w", encoding="utf-8") as out:
        json.dump(value, out)
    os.chmod(temporary, 0o644)  # for `dsenv status`, which does not come as root; it holds no secrets
    os.replace(temporary, file)
