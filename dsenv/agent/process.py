"""Which process was meant: a pid alone is recycled, and means nothing after a reboot.

Imported by the client on every system; where a fact cannot be had it is empty, and never equal to a known one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any, Callable, Dict, NamedTuple


def boot_id() -> str:
    """Changes with every boot of this machine."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as source:
            return source.read().strip()
    except OSError:
        return _output(["sysctl", "-n", "kern.boottime"]) if sys.platform == "darwin" else ""


def started(pid: int) -> str:
    """When a living process started, in a form that is only compared. Empty when it is gone or a zombie."""
    if os.path.isdir("/proc/self"):
        try:
            with open("/proc/{}/stat".format(pid), "rb") as source:
                fields = source.read().rpartition(b")")[2].split()
        except OSError:
            return ""
        return "" if fields[0] in (b"Z", b"X") else fields[19].decode()
    return _output(["ps", "-o", "lstart=", "-p", str(pid)]) if os.name == "posix" else ""


def _output(command: "list[str]") -> str:
    try:
        return (
            subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
            .stdout.decode()
            .strip()
        )
    except OSError:
        return ""


class Process(NamedTuple):
    """A process that can be told from a later one with the same pid."""

    pid: int
    started: str
    boot: str

    @classmethod
    def of(cls, pid: int, boot: Callable[[], str] = boot_id) -> "Process":
        """The process that has `pid` now."""
        return cls(pid, started(pid), boot())

    @classmethod
    def from_json(cls, value: Dict[str, Any]) -> "Process":
        return cls(int(value["pid"]), str(value["started"]), str(value["boot"]))

    def to_json(self) -> Dict[str, Any]:
        return {"pid": self.pid, "started": self.started, "boot": self.boot}

    def alive(self, boot: Callable[[], str] = boot_id) -> bool:
        """Whether this very process is running."""
        return bool(self.started) and self.boot == boot() and started(self.pid) == self.started

    def signal(self, number: int, *, group: bool = False, boot: Callable[[], str] = boot_id) -> bool:
        """Send a signal if the process is still this one; with `group`, to its process group. Whether it was sent."""
        if not self.alive(boot):
            return False
        try:
            if group:
                os.killpg(self.pid, number)
            else:
                os.kill(self.pid, number)
        except ProcessLookupError:
            return False
        return True
