"""Who reads: what the command's Pythons say of themselves, and which process has a file open."""

from __future__ import annotations

import os

from dsenv.agent import jsontext
from dsenv.agent.capture.spool import Spool
from dsenv.agent.light import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import List, Set

_PROCESSES, _HANDLES = 64, 256
_LINE = 4096  # longer lines are failures


class Told:
    """The files that the command's Pythons noted themselves, read as the lines come."""

    def __init__(self, spool: Spool) -> None:
        self._file = os.path.join(spool.hook, "events")
        self._place, self._rest = 0, b""
        self.paths: Set[str] = set()
        self.pythons: Set[int] = set()

    def update(self) -> None:
        """Read what was added."""
        try:
            with open(self._file, "rb") as file:
                file.seek(self._place)
                data = file.read()
        except OSError:
            return
        self._place += len(data)
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            if len(line) < _LINE or line.startswith(b'{"e":"python"'):
                self._line(line)

    def _line(self, line: bytes) -> None:
        if b'"path":' not in line:
            return
        try:
            event = jsontext.loads(line)
        except ValueError:
            return
        if event.get("e") == "python":
            self.pythons.add(event["pid"])
        elif event.get("e") in ("reading", "input", "written"):
            self.paths.add(event["path"])


def holder(pid: int, path: str) -> int:
    """The process, `pid` or below it, that has `path` open; 0 when none is found."""
    waiting = [pid]
    for process in waiting:
        folder = "/proc/{}/fd".format(process)
        try:
            for number in os.listdir(folder)[:_HANDLES]:
                if os.readlink(folder + "/" + number) == path:
                    return process
        except OSError:
            continue
        finally:
            waiting += _children(process)[: _PROCESSES - len(waiting)]
    return 0


def has_ended(pid: int) -> bool:
    """Whether a child of ours has ended; it is not reaped by that."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except (AttributeError, OSError):
        return False


def _children(pid: int) -> List[int]:
    try:
        with open("/proc/{0}/task/{0}/children".format(pid), encoding="utf-8") as file:
            return [int(word) for word in file.read().split()]
    except (OSError, ValueError):
        return []
