"""Commands about containers, killed before and after every request to the engine and every change of a file."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.sweep.docker_world import SIZES, DockerWorld
from tests.sweep.points import WHOLE, Point, chosen
from tests.sweep.sweeping import Row, Scenario, alternately, swept

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200 if WHOLE else 300)]

BOTH = ("repeat", "audit")
Judge = Callable[[list[Row]], None]


@pytest.fixture
def world(docker_world: DockerWorld) -> DockerWorld:
    return docker_world


def _of(world: DockerWorld, scenario: Scenario, few: int) -> list[tuple[Scenario, Point]]:
    """The points of a command, found by running it once."""
    world.bring(scenario.before)
    if scenario.prepare:
        scenario.prepare()
    points = world.record(scenario.words).points()
    world.state = scenario.after
    return [(scenario, point) for point in chosen(points, few)]


def _with_image(world: DockerWorld) -> None:
    world.bring("running")
    world.see_image()


def test_up(world: DockerWorld, judged: Judge) -> None:
    _with_image(world)
    up = Scenario("up", ("up",), "absent", "running", BOTH)
    judged(swept(world, _of(world, up, 3)))


def test_up_with_its_image(world: DockerWorld, judged: Judge) -> None:
    _with_image(world)
    up = Scenario("up and image", ("up",), "absent", "running", BOTH, prepare=world.without_image)
    judged(swept(world, _of(world, up, 2)))


def test_down(world: DockerWorld, judged: Judge) -> None:
    _with_image(world)
    down = Scenario("down", ("down", "--yes"), "running", "absent", BOTH)
    judged(swept(world, _of(world, down, 2)))


def test_stop_and_start(world: DockerWorld, judged: Judge) -> None:
    _with_image(world)
    stop = Scenario("stop", ("stop",), "running", "stopped")
    start = Scenario("start", ("start",), "stopped", "running")
    judged(swept(world, alternately(_of(world, stop, 2), _of(world, start, 2))))


def test_resize(world: DockerWorld, judged: Judge) -> None:
    """In place, and by a successor, which the engine needs for limits that are lifted."""
    _with_image(world)
    small, large = SIZES
    lifted = Scenario("resize, anew", ("resize", "--size", large), "running", "running", sizes=(small, large))
    back = Scenario("resize", ("resize", "--size", small), "running", "running", sizes=(large, small))
    judged(swept(world, alternately(_of(world, lifted, 2), _of(world, back, 2))))
