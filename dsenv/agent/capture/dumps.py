"""What faulthandler writes, read: where the threads of a process were, and by which signal it died."""

from __future__ import annotations

from dsenv.agent.light import TYPE_CHECKING, NamedTuple
from dsenv.agent.patterns import lazy

if TYPE_CHECKING:
    from typing import List, Optional, Tuple

    from dsenv.agent.schema import FrameDetail, Stack


_FATAL = lazy(r"^Fatal Python error: (.*)$")
_THREAD = lazy(r"^(?:Current thread|Thread) (0x[0-9a-f]+)(?: \[(.*)\])? \(most recent call first\):$")
_FRAME = lazy(r'^  File "(.*)", line (\d+|\?\?\?) in (.*)$')
_ESCAPE = lazy(r"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8}))")
_OWN = "/_dsenv_hook/"  # it was being asked for its locals just then
_SIGNALS = {
    "Segmentation fault": "SIGSEGV",
    "Aborted": "SIGABRT",
    "Bus error": "SIGBUS",
    "Floating point exception": "SIGFPE",
    "Illegal instruction": "SIGILL",
}


class Dump(NamedTuple):
    """One dump. `stacks` begin with the thread that received the signal, if it is known; `signal` is None when it
    was asked for."""

    stacks: List[Stack]
    signal: Optional[str]
    reason: str


def parse(text: str, pid: int) -> List[Dump]:
    """The dumps that one process wrote, oldest first."""
    found: List[Dump] = []
    current: Optional[List[FrameDetail]] = None
    fatal = ""
    for line in text.splitlines():
        start, thread, frame = _FATAL.match(line), _THREAD.match(line), _FRAME.match(line)
        if start:
            fatal = start.group(1)
            found.append(Dump([], _SIGNALS.get(fatal, "SIGABRT"), fatal))
            current = None
        elif thread:
            if not found or (_begins(found[-1], line) and not found[-1].signal):
                found.append(Dump([], None, ""))
            current = []
            stack: Stack = {"pid": pid, "thread": thread.group(2) or thread.group(1), "frames": current}
            found[-1].stacks.insert(0 if line.startswith("Current") else len(found[-1].stacks), stack)
        elif frame and current is not None and _OWN not in line:
            current.insert(0, _frame(frame.groups()))
    return found


def _begins(last: Dump, line: str) -> bool:
    """Whether a thread is the first of a new dump: the current one is the last of each that was asked for."""
    threads = [str(stack.get("thread")) for stack in last.stacks]
    match = _THREAD.match(line)
    return bool(match) and (match.group(2) or match.group(1)) in threads if match else False


def _frame(groups: Tuple[str, ...]) -> FrameDetail:
    file, line, function = groups
    return {
        "file": _plain(file),
        "function": _plain(function),
        "line": int(line) if line.isdigit() else 0,
        "first_line": 0,
        "source": [],
        "user": False,
        "locals": [],
    }


def _plain(text: str) -> str:
    """It writes ASCII, and everything else escaped."""
    return _ESCAPE.sub(lambda match: chr(int(next(group for group in match.groups() if group), 16)), text)
