"""What the command was doing when it came near its end: near its memory limit, at its time-out, and at SIGTERM.

All of it happens from outside, in a thread of ours: a thread in the command would change where its memory runs out. Its
Pythons have registered two signals (hook/stacks.py), which are sent only to processes that catch them. Where there is
no limit and no time-out, nothing runs.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from time import monotonic, time_ns

from dsenv.agent import jsontext
from dsenv.agent.capture.limits import MemoryLimits, Use
from dsenv.agent.capture.spool import Spool, request
from dsenv.agent.light import TYPE_CHECKING, NamedTuple, cast, signal

if TYPE_CHECKING:
    from typing import Callable, Dict, List, Optional, Tuple

    from dsenv.agent.capture import dumps, processes
    from dsenv.agent.schema import BlackBox, Stack

MARKS = (0.8, 0.9, 0.95, 0.98)
SIGTERM_PATIENCE = 0.05
_REARMED = 0.7  # of the limit; below it, all marks count again
_FASTEST = 4 << 30  # bytes that a program can fill in a second
_SHORTEST, _LONGEST = 0.002, 0.1
_MEMORY_PATIENCE, _TIMEOUT_PATIENCE = 0.02, 1.0
_ROOM_FOR_LOCALS = 48 << 20  # bytes below the limit
_MOST_PROCESSES, _MOST_ENTRIES = 32, 60
_TICK = 0.001
_PAUSE = 0.02
_DUMP_LIMIT = 4 << 20


class Seen(NamedTuple):
    """What was seen of a command from outside: entries of the black box, the dumps of processes that crashed, and the
    last signal that we sent to end it at its time-out."""

    entries: List[BlackBox]
    fatal: List[Tuple[int, dumps.Dump]]
    sent: Optional[str]


class Watch(threading.Thread):
    """Watches one command, which has `timeout` seconds, and `kill_after` more when it was told to end.

    `keep` gets each entry, with stacks as the processes told them.
    """

    def __init__(
        self,
        pid: int,
        spool: Optional[Spool],
        keep: Callable[[BlackBox], None],
        *,
        timeout: Optional[float],
        kill_after: Optional[float],
    ) -> None:
        super().__init__(name="black box", daemon=True)
        self._pid, self._spool, self._keep = pid, spool, keep
        self._timeout, self._kill_after = timeout, kill_after or 0.0
        self._request = request()
        self._limits = MemoryLimits.around(os.getpid()) if spool is not None else MemoryLimits([])
        self._over = threading.Event()
        self._dumping = threading.Lock()
        self._mark = 0
        self._read: Dict[int, int] = {}  # how much of each process's dumps was read
        self._events = 0
        self.entries: List[BlackBox] = []
        self.sent: Optional[str] = None  # the last signal that we sent to end the command
        self.trouble: List[str] = []
        self.needed = bool(self._limits) or timeout is not None

    def run(self) -> None:
        deadline = None if self._timeout is None else monotonic() + self._timeout
        while not self._over.is_set():
            left = None if deadline is None else deadline - monotonic()
            if left is not None and left <= 0:
                self._time_out()
                return
            pause = self._look_at_memory() if self._limits else None
            self._over.wait(min((value for value in (left, pause) if value is not None), default=None))

    def _look_at_memory(self) -> float:
        """Returns how long nothing can happen."""
        use = self._limits.use()
        if use is None:
            return _LONGEST
        reached = sum(use.share >= mark for mark in MARKS)
        if reached > self._mark:
            self._mark = reached
            roomy = use.limit - use.used > _ROOM_FOR_LOCALS
            self.dump("memory", _MEMORY_PATIENCE, look=roomy, use=use)
        elif use.share < _REARMED:
            self._mark = 0
        if self._mark == len(MARKS):
            return _LONGEST
        distance = MARKS[self._mark] * use.limit - use.used
        return min(max(distance / _FASTEST, _SHORTEST), _LONGEST)

    def _time_out(self) -> None:
        """Stacks first, then SIGTERM for every process of the command, and SIGKILL for those that stay."""
        from dsenv.agent.capture import processes

        self.dump("time-out", _TIMEOUT_PATIENCE)
        victims = processes.tree(self._pid)
        if self._over.is_set() or not victims:
            return
        self.sent = "SIGTERM"
        for process in victims:
            _send(process, signal.SIGTERM)
        deadline = monotonic() + self._kill_after
        self._over.wait(self._kill_after)
        known = {process.pid for process in victims}
        victims += [process for process in processes.tree(self._pid) if process.pid not in known]
        while any(map(processes.lives, victims)) and monotonic() < deadline:
            threading.Event().wait(_PAUSE)
        left = [process for process in victims if processes.lives(process)]
        if any(process.pid == self._pid for process in left):
            self.sent = "SIGKILL"
        for process in left:
            _send(process, signal.SIGKILL)

    def dump(self, why: str, patience: float, *, look: bool = True, use: Optional[Use] = None) -> None:
        """Ask the command's Pythons where they are, and keep what they answer within `patience` seconds."""
        try:
            self._dump(why, patience, look, use)
        except Exception as problem:  # noqa: BLE001 - the command's time-out and its stderr are not ours to lose
            self.trouble.append("the black box is not complete: {}: {}".format(type(problem).__name__, problem))

    def _dump(self, why: str, patience: float, look: bool, use: Optional[Use]) -> None:
        if self._spool is None or self._request.dump is None or len(self.entries) >= _MOST_ENTRIES:
            return
        with self._dumping:
            asked = self._ask(look, goes_on=why == "memory")
            stacks = self._answers(asked, look, patience)
            entry: BlackBox = {"when": time_ns() // 1000, "why": why, "stacks": stacks}
            if use is not None:
                entry.update({"share": MARKS[self._mark - 1], "memory": use.used, "limit": use.limit})
            self.entries.append(entry)
        self._keep(entry)

    def _ask(self, look: bool, *, goes_on: bool) -> List[int]:
        from dsenv.agent.capture import processes

        assert self._request.dump is not None and self._request.look is not None
        self._events = self._size_of_events()
        found = [process.pid for process in processes.tree(self._pid)]
        found = [pid for pid in found if _may_be_asked(pid, self._request.dump)][:_MOST_PROCESSES]
        if goes_on:
            found.sort(key=processes.resident, reverse=True)
        for pid in found:
            self._read.setdefault(pid, self._size_of_dumps(pid))
            with suppress(OSError):
                # A program that goes on must not have its calls interrupted; one that is about to end may. This signal
                # comes first: the other one lets the system restart a call, and Python would not run.
                if look and (not goes_on or processes.computes(pid)) and processes.catches(pid, self._request.look):
                    os.kill(pid, self._request.look)
                os.kill(pid, self._request.dump)
        return found

    def _answers(self, asked: List[int], look: bool, patience: float) -> List[Stack]:
        deadline = monotonic() + patience
        told: Dict[int, List[Stack]] = {}
        sizes: Dict[int, int] = {}
        while asked and monotonic() < deadline:
            threading.Event().wait(_TICK)
            told.update(self._told())
            before, sizes = sizes, {pid: self._size_of_dumps(pid) for pid in asked}
            written = all(sizes[pid] > self._read[pid] for pid in asked) and sizes == before
            if written and (not look or len(told) == len(asked)):
                break
        stacks: List[Stack] = []
        for pid in asked:
            dumped = [dump for dump in self._dumps(pid) if dump.signal is None]
            stacks += told.get(pid) or (dumped[-1].stacks if dumped else [])
        return stacks

    def _told(self) -> Dict[int, List[Stack]]:
        """Stacks with locals that were written to the events since."""
        assert self._spool is not None
        found: Dict[int, List[Stack]] = {}
        try:
            with open(self._spool.events_file, "rb") as file:
                file.seek(self._events)
                data = file.read()
        except OSError:
            return found
        end = data.rfind(b"\n") + 1
        self._events += end
        for line in data[:end].splitlines():
            if line.startswith(b'{"e":"stack"'):
                with suppress(ValueError, KeyError, TypeError):
                    value = jsontext.loads(line)
                    found[int(value["pid"])] = cast("List[Stack]", value["stacks"])
        return found

    def _size_of_events(self) -> int:
        assert self._spool is not None
        return _size(self._spool.events_file)

    def _size_of_dumps(self, pid: int) -> int:
        assert self._spool is not None
        return _size(self._spool.stacks_file(pid))

    def _dumps(self, pid: int) -> List[dumps.Dump]:
        """What a process has dumped since it was last read."""
        from dsenv.agent.capture import dumps

        assert self._spool is not None
        try:
            with open(self._spool.stacks_file(pid), "rb") as file:
                file.seek(self._read.get(pid, 0))
                data = file.read(_DUMP_LIMIT)
        except OSError:
            return []
        self._read[pid] = self._read.get(pid, 0) + len(data)
        return dumps.parse(data.decode("ascii", "replace"), pid)

    def before(self, number: int) -> None:
        """A signal is about to be passed on to the command."""
        if number == signal.SIGTERM:
            self.dump("SIGTERM", SIGTERM_PATIENCE)

    def finish(self) -> Seen:
        """The command has ended: look no more."""
        self._over.set()
        if self.is_alive():
            self.join()
        self._limits.close()
        fatal: List[Tuple[int, dumps.Dump]] = []
        for pid in self._spool.stacks_pids() if self._spool is not None else []:
            for dump in self._dumps(pid):
                if dump.signal is not None:
                    fatal.append((pid, dump))
                elif self.entries and not self.entries[-1].get("stacks"):
                    self.entries[-1]["stacks"] = dump.stacks
                    self._keep(self.entries[-1])
        return Seen(self.entries, fatal, self.sent)


def _may_be_asked(pid: int, number: int) -> bool:
    from dsenv.agent.capture import processes

    return processes.catches(pid, number) and not processes.waits_for_signal(pid)


def _send(process: processes.Process, number: int) -> None:
    from dsenv.agent.capture import processes

    if processes.lives(process):
        with suppress(OSError):
            os.kill(process.pid, number)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
