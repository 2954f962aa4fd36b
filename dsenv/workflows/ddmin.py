"""Delta debugging: a minimal part of what is there that still gives the failure.

The algorithm is ddmin of Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input" (2002).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
# Whether the failure is there with these items and no others; None when that cannot be said.
Oracle = Callable[[tuple[T, ...]], bool | None]


@dataclasses.dataclass(frozen=True)
class Minimal(Generic[T]):
    """Items, in their order, whose presence gives the failure.

    `complete`: without any one of them it was not seen. It is false when the budget ended before.
    """

    items: tuple[T, ...]
    complete: bool
    trials: int


def ddmin(items: Sequence[T], oracle: Oracle[T], *, go_on: Callable[[], bool] = lambda: True) -> Minimal[T]:
    """A minimal subset of `items` for which `oracle` is true.

    All of them together are taken to give the failure; that is not tried. The same subset is tried once. `go_on` is
    asked before each trial: when it says no, the smallest subset so far is the answer. What is None counts as no
    failure, so it is never chosen.
    """
    search = _Search(items, oracle, go_on)
    try:
        found = search.reduce()
    except _BudgetSpentError:
        return Minimal(search.chosen(search.best), False, search.trials)
    return Minimal(search.chosen(found), True, search.trials)


class _BudgetSpentError(Exception):
    """No further trial is allowed."""


class _Search(Generic[T]):
    def __init__(self, items: Sequence[T], oracle: Oracle[T], go_on: Callable[[], bool]) -> None:
        self._items, self._oracle, self._go_on = items, oracle, go_on
        self._known: dict[tuple[int, ...], bool | None] = {}
        self.best = tuple(range(len(items)))
        self.trials = 0

    def chosen(self, numbers: tuple[int, ...]) -> tuple[T, ...]:
        return tuple(self._items[number] for number in numbers)

    def fails(self, numbers: tuple[int, ...]) -> bool:
        if numbers not in self._known:
            if not self._go_on():
                raise _BudgetSpentError
            self.trials += 1
            self._known[numbers] = self._oracle(self.chosen(numbers))
        return self._known[numbers] is True

    def reduce(self) -> tuple[int, ...]:
        """The parts first, because one of them is enough most often; then all but one; then smaller parts."""
        if not self.best or self.fails(()):
            self.best = ()
            return ()
        count = 2
        while len(self.best) > 1:
            smaller = self._smaller(count)
            if smaller is not None:
                self.best, count = smaller
            elif count >= len(self.best):
                break
            else:
                count = min(2 * count, len(self.best))
        return self.best

    def _smaller(self, count: int) -> tuple[tuple[int, ...], int] | None:
        """A smaller set that fails, and in how many parts to take that next."""
        parts = _split(self.best, count)
        for part in parts:
            if self.fails(part):
                return part, 2
        for index in range(len(parts)) if len(parts) > 2 else ():
            rest = tuple(number for other, part in enumerate(parts) if other != index for number in part)
            if self.fails(rest):
                return rest, max(count - 1, 2)
        return None


def _split(numbers: tuple[int, ...], count: int) -> list[tuple[int, ...]]:
    """`count` parts of nearly the same size, none of them empty."""
    count = min(count, len(numbers))
    edges = [len(numbers) * index // count for index in range(count + 1)]
    return [numbers[edges[index] : edges[index + 1]] for index in range(count)]
