"""Where a process was that was killed for want of memory.

The kernel's kill leaves nothing. A second run may reserve a little less memory than the first had reserved when it was
killed, so that the allocation that brought the kill fails in the program: with a traceback, and with locals.
"""

from __future__ import annotations

from dsenv.agent import schema
from dsenv.events import Cancel, Emit, Event, Notice, Output, step
from dsenv.runs.record import Record
from dsenv.workflows.reproduce.model import Explanation, Plan
from dsenv.workflows.reproduce.run import Ran, run
from dsenv.workflows.reproduce.scratch import Scratch

# Less than the smallest step in which Python takes memory from the system.
_LESS = 64 << 10
# The second share is for a program that had reserved more before, or that was seen too late.
_SHARES = (1.0, 0.9)


def explain(
    record: Record, plan: Plan, prefix: str, first: Ran, *, debug: bool, emit: Emit, cancel: Cancel
) -> tuple[Explanation, schema.Frames] | None:
    """Run it again with less memory to reserve. None when that gave no traceback that speaks of memory."""
    if not first.told.kills or first.told.reserved <= _LESS:
        return None

    def quietly(event: Event) -> None:
        if not isinstance(event, Output):  # the first run has said it all
            emit(event)

    for share in _SHARES:
        cancel.check()
        reserved = int(first.told.reserved * share) - _LESS
        if debug:
            emit(Notice("it runs with less memory, and stops in pdb where that runs out"))
            found = _once(record, plan, prefix, reserved, debug=True, emit=quietly, cancel=cancel)
            if found is not None:
                return found
            continue
        with step(emit, "explain", "run it with less memory, to see where it runs out") as note:
            found = _once(record, plan, prefix, reserved, debug=False, emit=quietly, cancel=cancel)
            note.note = "found" if found else "not found"
        if found is not None:
            return found
    return None


def _once(
    record: Record, plan: Plan, prefix: str, reserved: int, *, debug: bool, emit: Emit, cancel: Cancel
) -> tuple[Explanation, schema.Frames] | None:
    scratch = Scratch(plan, record)
    try:
        scratch.fill(cancel)
        ran = run(scratch, prefix, debug=debug, reserved=reserved, emit=emit, cancel=cancel)
        observed = scratch.as_recorded(ran.record.data.get("signature")) if ran.record else None
        if ran.record is None or observed is None or not speaks_of_memory(observed):
            return None
        return Explanation(reserved, observed, round(ran.seconds, 3)), ran.record.frames()
    finally:
        scratch.remove()


def speaks_of_memory(found: schema.Signature) -> bool:
    """Whether an exception says that memory could not be had. Compiled libraries have their own types for it."""
    kind, message = found["type"] or "", (found["message"] or "").lower()
    return found["kind"] == "exception" and (
        "MemoryError" in kind or "bad_alloc" in message or ("alloc" in message and "memory" in message)
    )
