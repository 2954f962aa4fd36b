"""The sweep itself: bring about a state, kill a command at a point, mend by a command, look at everything."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence

from tests.sweep.points import EACH, Point
from tests.sweep.worlds import Left, World


@dataclasses.dataclass(frozen=True)
class Scenario:
    """A command, and how it is mended: by itself (`repeat`), or by `audit --fix`, then `down` (`audit`)."""

    name: str
    words: tuple[str, ...]
    before: str
    after: str
    repairs: tuple[str, ...] = ("repeat",)
    sizes: tuple[str, str] | None = None  # before and after
    prepare: Callable[[], None] | None = None


@dataclasses.dataclass(frozen=True)
class Row:
    """What came of one point."""

    provider: str
    command: str
    point: str
    killed: bool
    followed: bool
    bad: tuple[str, ...]


def alternately(*rows: Sequence[tuple[Scenario, Point]]) -> list[tuple[Scenario, Point]]:
    """One of each in turn, so that one leaves the state that the next one needs."""
    longest = max((len(row) for row in rows), default=0)
    return [row[number] for number in range(longest) for row in rows if number < len(row)]


def swept(world: World, plan: Iterable[tuple[Scenario, Point]]) -> list[Row]:
    """All points of the plan. What is bad is told in the rows.

    Every point is killed. What then is left is followed up, unless a point before left the same: it was well, and
    would be again.
    """
    rows, seen = [], _Seen()
    for scenario, point in plan:
        same, left = "", None
        for repair in scenario.repairs:
            killed, bad = False, list[str]()
            if not same:
                killed, left, bad = _killed(world, scenario, point)
                same = "" if EACH or bad else seen.before(scenario, left)
            if not same:
                bad += _repeated(world, scenario) if repair == "repeat" else _audited(world)
                if bad:
                    world.forget()
            name = f"{scenario.name}, {repair}"
            rows.append(Row(world.provider, name, str(point), killed, not same, tuple(bad)))
            said = "; ".join(bad) or (f"as {same}" if same else "well")
            print(f"{world.provider} {name}: {point}: {said}", flush=True)
        if same:
            world.restore(scenario.before, left)
        elif left and not any(row.bad for row in rows[-len(scenario.repairs) :]):
            seen.add(scenario, left, str(point))
    return rows


class _Seen:
    """What was left by points that were followed up, and was well afterwards."""

    def __init__(self) -> None:
        self._shapes: dict[tuple[Scenario, str], str] = {}
        self._unfinished: dict[Scenario, set[str]] = {}

    def add(self, scenario: Scenario, left: Left, point: str) -> None:
        self._shapes.setdefault((scenario, left.shape), point)
        self._unfinished.setdefault(scenario, set()).update(left.unfinished)

    def before(self, scenario: Scenario, left: Left) -> str:
        """The point that left the same; empty when none did."""
        known = left.unfinished <= self._unfinished.get(scenario, set())
        return self._shapes.get((scenario, left.shape), "") if known else ""


def _killed(world: World, scenario: Scenario, point: Point) -> tuple[bool, Left, list[str]]:
    """Whether the kill came, what it left, and what is wrong with that."""
    _prepare(world, scenario)
    world.known = world.left()
    world.state = "unknown"
    done = world.killed(scenario.words, point)
    bad = [] if done.killed or (point.polling and done.code == 0) else [f"was not killed: {done}"]
    return done.killed, world.left(), bad


def _prepare(world: World, scenario: Scenario) -> None:
    world.bring(scenario.before)
    if scenario.prepare:
        scenario.prepare()
    if scenario.sizes and world.size() != scenario.sizes[0]:
        done = world.dsenv(*_resized(scenario, scenario.sizes[0]))
        assert done.code == 0, str(done)


def _resized(scenario: Scenario, size: str) -> tuple[str, ...]:
    return (*scenario.words[:-1], size)


def _repeated(world: World, scenario: Scenario) -> list[str]:
    again = world.dsenv(*scenario.words)
    if again.code:
        return [f"the repetition: {again}"]
    if scenario.sizes and world.size() != scenario.sizes[1]:
        return [f"it is a {world.size()}"]
    bad = world.wrong(scenario.after)
    if not bad:
        world.state = scenario.after
        if scenario.name.startswith("up"):
            world.bring("absent")
            bad = [f"after down: {item}" for item in world.wrong("absent")]
    return bad


def _audited(world: World) -> list[str]:
    """Whatever the account holds is known afterwards, and `down` ends it."""
    audit = world.dsenv("audit", "--provider", world.provider, "--fix", "--yes")
    if audit.code:
        return [f"audit: {audit}"]
    if world.held() and not world.listed():
        return [f"there is {world.held()}, and ls lists nothing"]
    down = world.dsenv("down", "--yes")
    if down.code:
        return [f"down: {down}"]
    bad = world.wrong("absent")
    if not bad:
        world.state = "absent"
    return bad
