"""What a workstation says of itself, in a client's words."""

from __future__ import annotations

from typing import Any

import pytest

from dsenv.sync.client import RefusedError
from dsenv.workflows.awake import Awake, asked


class Agent:
    """Answers one request."""

    def __init__(self, **answer: Any) -> None:
        self._answer = answer

    def request(self, operation: str) -> None:
        assert operation == "watch"

    def answer(self) -> dict[str, Any]:
        if not self._answer:
            raise RefusedError("unknown", "this agent does not know the request")
        return self._answer


_LIMITS = {"idle_seconds": 1800, "max_seconds": 86400}


@pytest.mark.parametrize(
    ("state", "now", "said"),
    [
        ({**_LIMITS, "busy": 1000, "kept_up_by": []}, 1300.0, Awake(300, [], 1500, "idle")),
        ({**_LIMITS, "busy": 900, "kept_up_by": [["run", "run x"]]}, 1300.0, Awake(0, ["run x"], 1800, "idle")),
        ({**_LIMITS, "busy": 86000, "kept_up_by": []}, 86100.0, Awake(100, [], 300, "life time")),
        ({"idle_seconds": 0, "max_seconds": 0, "busy": 0, "kept_up_by": []}, 10.0, Awake(10, [], None, None)),
    ],
)
def test_idle_and_life_time(state: dict[str, Any], now: float, said: Awake) -> None:
    assert asked(Agent(state=state, now=now, stopped=None)) == said  # type: ignore[arg-type]


def test_a_machine_that_nothing_watches() -> None:
    assert asked(Agent(state=None, now=5.0, stopped=None)) is None  # type: ignore[arg-type]
    assert asked(Agent()) is None  # type: ignore[arg-type]
