"""Moments of the black box as failures: where a command was that raised nothing."""

from __future__ import annotations

from dsenv.agent.light import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from typing import Dict, List, Sequence, Tuple

    from dsenv.agent.schema import BlackBox, Failure, FrameDetail, Stack


_MOST = 20  # threads of one moment
_HOWS = {"time-out": "time-out", "memory": "memory"}


def last_of_each(entries: Sequence[BlackBox]) -> List[BlackBox]:
    """The last entry of each kind that has stacks, with the locals that were seen in the same frames a little earlier.

    The entries are changed.
    """
    last: Dict[str, BlackBox] = {}
    for entry in entries:
        if entry.get("stacks"):
            before = last.get(entry.get("why", ""))
            if before is not None:
                _lend_locals(before, entry)
            last[entry.get("why", "")] = entry
    return list(last.values())


def of_entry(entry: BlackBox) -> List[Failure]:
    """A failure for each thread of an entry."""
    how = _HOWS.get(entry.get("why", ""), "signal")
    return of_stacks(entry.get("stacks", []), how, _words(entry), pid=0, when=entry.get("when", 0))


def of_stacks(stacks: List[Stack], how: str, words: Tuple[str, str], *, pid: int, when: int) -> List[Failure]:
    """A failure for each stack. `words` stand where an exception has its type and message."""
    return [
        {
            "pid": stack.get("pid", pid),
            "ppid": 0,
            "argv": [],
            "when": when,
            "thread": stack.get("thread", ""),
            "how": how,
            "exceptions": [
                {
                    "type": words[0],
                    "message": words[1],
                    "notes": [],
                    "link": None,
                    "frames": cast("List[FrameDetail]", [dict(frame) for frame in stack.get("frames", [])]),
                }
            ],
        }
        for stack in stacks[:_MOST]
    ]


def _lend_locals(before: BlackBox, entry: BlackBox) -> None:
    known = {
        (stack.get("pid"), frame["file"], frame["function"].rpartition(".")[2]): frame
        for stack in before.get("stacks", [])
        for frame in stack.get("frames", [])
        if frame.get("locals")
    }
    for stack in entry.get("stacks", []):
        for frame in stack.get("frames", []):
            earlier = known.get((stack.get("pid"), frame["file"], frame["function"].rpartition(".")[2]))
            if earlier is not None and not frame.get("locals"):
                frame["locals"], frame["user"] = earlier["locals"], earlier.get("user", False)


def _words(entry: BlackBox) -> Tuple[str, str]:
    """What stands where an exception has its type and message."""
    why = entry.get("why", "")
    if why == "memory":
        text = "{:.0f} % of {} MB were used"
        return "out-of-memory", text.format(100 * entry.get("share", 0), entry.get("limit", 0) >> 20)
    return why, ""
