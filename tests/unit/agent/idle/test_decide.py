"""When a machine switches itself off, from what was seen."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsenv.agent.idle import decide
from dsenv.agent.idle.limits import Limits
from dsenv.agent.idle.people import Reason

_BUSY = [Reason("run", "run 1")]
_LIMITS = Limits(idle_seconds=600, max_seconds=0)


def _after(looks: list[tuple[float, bool]], limits: Limits = _LIMITS, boot: str = "a") -> dict[str, Any]:
    state: dict[str, Any] | None = None
    for now, busy in looks:
        state = decide.fold(state, decide.Seen(boot, now, {}, _BUSY if busy else []), limits)
    assert state is not None
    return state


def test_it_goes_off_after_so_long_without_work() -> None:
    looks = [(60.0 * minute, minute <= 5) for minute in range(16)]
    assert decide.verdict(_after(looks[:-1]), _LIMITS) == ""
    assert decide.verdict(_after(looks), _LIMITS) == "it was idle for 10 minutes"


def test_a_new_boot_starts_anew() -> None:
    state = _after([(0, True), (599, False)])
    again = decide.fold(state, decide.Seen("b", 700, {}, []), _LIMITS)
    assert decide.verdict(again, _LIMITS) == ""
    assert again["busy"] == 700


def test_a_suspended_machine_was_not_idle() -> None:
    state = _after([(0, False), (60, False), (60 + 8 * 3600, False)])
    assert decide.verdict(state, _LIMITS) == ""


def test_its_life_ends_while_it_works() -> None:
    limits = Limits(idle_seconds=0, max_seconds=7200)
    assert decide.verdict(_after([(7199, True)], limits), limits) == ""
    assert decide.verdict(_after([(7200, True)], limits), limits) == "its life time of 2 hours is over"


def test_zero_is_never() -> None:
    limits = Limits(idle_seconds=0, max_seconds=0)
    assert decide.verdict(_after([(float(hour * 3600), False) for hour in range(100)], limits), limits) == ""


@pytest.mark.parametrize("damaged", [None, {}, {"version": 99, "boot": "a", "busy": 0, "checked": 0}])
def test_a_state_of_another_kind_is_no_reason_to_go_off(damaged: dict[str, Any] | None) -> None:
    state = decide.fold(damaged, decide.Seen("a", 5000, {}, []), _LIMITS)
    assert decide.verdict(state, _LIMITS) == ""


@given(st.lists(st.tuples(st.floats(0.5, 90), st.booleans()), min_size=1, max_size=60))
def test_it_never_goes_off_within_the_idle_time_of_work(steps: list[tuple[float, bool]]) -> None:
    """Looks at most 90 s apart; work that is seen keeps it up for the whole idle time from then on."""
    state: dict[str, Any] | None = None
    now, worked = 0.0, 0.0
    for step, busy in steps:
        now += step
        worked = now if busy or state is None else worked
        state = decide.fold(state, decide.Seen("a", now, {}, _BUSY if busy else []), _LIMITS)
        off = bool(decide.verdict(state, _LIMITS))
        assert off == (now - worked >= _LIMITS.idle_seconds)
