"""The command's processes, as the system lists them."""

from __future__ import annotations

import os

from dsenv.agent.light import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Dict, List, Optional


class Process(NamedTuple):
    """A process, told apart from a later one with the same number by when it began."""

    pid: int
    began: str


def tree(pid: int, proc: str = "/proc") -> List[Process]:
    """`pid` and all that descends from it, parents first."""
    parents = _parents(proc)
    children: Dict[int, List[int]] = {}
    for child, (parent, _) in parents.items():
        children.setdefault(parent, []).append(child)
    found: List[Process] = []
    waiting = [pid]
    while waiting:
        current = waiting.pop(0)
        if current in parents:
            found.append(Process(current, parents[current][1]))
            waiting += sorted(children.get(current, []))
    return found


def lives(process: Process, proc: str = "/proc") -> bool:
    """Whether it is still there, and not only its exit code."""
    now = _stat(process.pid, proc) if os.path.isdir(proc) else None
    if now is None and os.path.isdir(os.path.join(proc, "self")):
        return False
    if now is not None:
        return now[1] == process.began and now[2] not in "ZX"
    try:
        os.kill(process.pid, 0)
    except OSError:
        return False
    return True


def catches(pid: int, number: int, proc: str = "/proc") -> bool:
    """Whether a process has a handler for a signal. One that has none may die of it."""
    try:
        with open("{}/{}/status".format(proc, pid), encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith("SigCgt:"):
                    return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    except (OSError, ValueError, IndexError):
        pass
    return False


# By machine: the calls that any signal ends, pause(2) and sigsuspend(2).
_WAITS = {"x86_64": ("34", "130"), "aarch64": ("133",), "arm64": ("133",)}
_PPOLL = "73 0x0 0x0 0x0"  # what pause() is on aarch64: to poll nothing, for ever


def waits_for_signal(pid: int, proc: str = "/proc") -> bool:
    """Whether a process goes on because of a signal, whatever the signal is: ours would change what it does."""
    text = _call(pid, proc)
    calls = _WAITS.get(os.uname().machine, ())
    return text.partition(" ")[0] in calls or ("133" in calls and text.startswith(_PPOLL))


def computes(pid: int, proc: str = "/proc") -> bool:
    """Whether its main thread is in no system call, which a signal might interrupt."""
    return _call(pid, proc).startswith("running")


def _call(pid: int, proc: str) -> str:
    """The system call that a process waits in; empty where that is not told."""
    try:
        with open("{}/{}/syscall".format(proc, pid), encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def resident(pid: int, proc: str = "/proc") -> int:
    """Pages of memory that a process has; 0 when it is gone."""
    try:
        with open("{}/{}/statm".format(proc, pid), "rb") as file:
            return int(file.read().split()[1])
    except (OSError, ValueError, IndexError):
        return 0


def _parents(proc: str) -> Dict[int, "tuple[int, str]"]:
    """Parent and beginning of every process."""
    try:
        names = [int(name) for name in os.listdir(proc) if name.isdigit()]
    except OSError:
        return _asked()
    found = {}
    for pid in names:
        facts = _stat(pid, proc)
        if facts is not None:
            found[pid] = facts[:2]
    return found


def _stat(pid: int, proc: str) -> "Optional[tuple[int, str, str]]":
    """Parent, beginning and state. The name in front of them may hold anything, brackets too."""
    try:
        with open("{}/{}/stat".format(proc, pid), "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        return int(fields[1]), fields[19].decode(), fields[0].decode()
    except (OSError, ValueError, IndexError):
        return None


def _asked() -> Dict[int, "tuple[int, str]"]:
    """Where there is no /proc."""
    import subprocess  # seldom needed, and slow to load

    try:
        text = subprocess.run(
            ["ps", "-A", "-o", "pid=,ppid="],
            check=False,
            capture_output=True,
            text=True,
        ).stdout
    except OSError:
        return {}
    rows = [line.split() for line in text.splitlines()]
    return {int(row[0]): (int(row[1]), "") for row in rows if len(row) == 2}
