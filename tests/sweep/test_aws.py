"""Commands about instances of the test cloud, killed before and after every call and every change of a file."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.sweep.aws_world import SIZES, AwsWorld
from tests.sweep.points import WHOLE, Point, chosen
from tests.sweep.sweeping import Row, Scenario, alternately, swept

pytestmark = [pytest.mark.slow, pytest.mark.timeout(14400 if WHOLE else 300)]

BOTH = ("repeat", "audit")
Judge = Callable[[list[Row]], None]


@pytest.fixture
def world(aws_world: AwsWorld) -> AwsWorld:
    return aws_world


def _of(world: AwsWorld, scenario: Scenario, few: int) -> list[tuple[Scenario, Point]]:
    """The points of a command, found by running it once."""
    world.bring(scenario.before)
    points = world.record(scenario.words).points()
    world.state = scenario.after
    return [(scenario, point) for point in chosen(points, few)]


def test_up(world: AwsWorld, judged: Judge) -> None:
    up = Scenario("up", ("up",), "absent", "running", BOTH)
    judged(swept(world, _of(world, up, 3)))


def test_down(world: AwsWorld, judged: Judge) -> None:
    down = Scenario("down", ("down", "--yes"), "running", "absent", BOTH)
    judged(swept(world, _of(world, down, 2)))


def test_stop_and_start(world: AwsWorld, judged: Judge) -> None:
    stop = Scenario("stop", ("stop",), "running", "stopped")
    start = Scenario("start", ("start",), "stopped", "running")
    judged(swept(world, alternately(_of(world, stop, 2), _of(world, start, 2))))


def test_resize(world: AwsWorld, judged: Judge) -> None:
    small, large = SIZES
    resize = Scenario("resize", ("resize", "--instance-type", large), "running", "running", sizes=(small, large))
    back = Scenario("resize", ("resize", "--instance-type", small), "running", "running", sizes=(large, small))
    points = _of(world, resize, 2)
    # Larger and smaller in turn: the same calls, and one leaves what the next one needs.
    judged(swept(world, [(back if number % 2 == 0 else resize, point) for number, (_, point) in enumerate(points)]))
