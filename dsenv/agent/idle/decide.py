"""From what was seen, whether to switch off. Pure.

Time is counted since the machine was switched on, so that neither a clock that is set nor a night of being off is
taken for idleness.
"""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Optional

from dsenv.agent.idle.limits import Limits
from dsenv.agent.idle.people import Reason

VERSION = 1
# A look that comes this much later than the one before was held up together with everything else, as when the
# machine was suspended: that time was not idle.
_GAP_SECONDS = 300.0


class Seen(NamedTuple):
    """One look. `boot` tells this time of being switched on from others; `now` is in seconds since then."""

    boot: str
    now: float
    counters: Dict[str, float]
    reasons: List[Reason]


def fold(state: Optional[Dict[str, Any]], seen: Seen, limits: Limits) -> Dict[str, Any]:
    """The state after a look; `state` is the one before, or None."""
    busy = seen.now
    if state and state.get("version") == VERSION and state.get("boot") == seen.boot and not seen.reasons:
        busy = min(float(state["busy"]), seen.now)
        gap = seen.now - float(state["checked"])
        if gap > max(_GAP_SECONDS, limits.idle_seconds):
            busy += gap
    return {
        "version": VERSION,
        "boot": seen.boot,
        "checked": seen.now,
        "busy": busy,
        "counters": seen.counters,
        "kept_up_by": [list(reason) for reason in seen.reasons],
        "idle_seconds": limits.idle_seconds,
        "max_seconds": limits.max_seconds,
    }


def verdict(state: Dict[str, Any], limits: Limits) -> str:
    """Why to switch off now; empty while it is not time."""
    now = float(state["checked"])
    if limits.max_seconds and now >= limits.max_seconds:
        return "its life time of {} is over".format(_spoken(limits.max_seconds))
    if limits.idle_seconds and now - float(state["busy"]) >= limits.idle_seconds:
        return "it was idle for {}".format(_spoken(limits.idle_seconds))
    return ""


def _spoken(seconds: float) -> str:
    if seconds >= 5400:
        return "{:g} hours".format(round(seconds / 3600, 1))
    return "{:g} minutes".format(round(seconds / 60)) if seconds >= 90 else "{:g} seconds".format(seconds)
