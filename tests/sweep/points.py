"""The moments at which a command is killed."""

from __future__ import annotations

import dataclasses
import os
import re
from collections import Counter
from collections.abc import Sequence

WHOLE = os.environ.get("DSENV_SWEEP") in {"all", "each"}
# Whether each point is followed up, where "all" does that once for all points that leave the same.
EACH = os.environ.get("DSENV_SWEEP") == "each"
_IN_A_ROW = 2  # of equal calls that follow each other, which is how something is waited for
_READING = re.compile(r"(\w+:(Describe|Get|List)|GET|HEAD)")


@dataclasses.dataclass(frozen=True)
class Point:
    """One moment: before the `at`-th change of a file, or before or after the `at`-th call named `label`."""

    kind: str  # write, before, after
    label: str
    at: int
    polling: bool = False  # a repetition whose number is chance

    @property
    def changing(self) -> bool:
        return self.kind == "write" or not _READING.match(self.label)

    def __str__(self) -> str:
        return f"before {self.label} ({self.at})" if self.kind == "write" else f"{self.kind} {self.label} ({self.at})"


@dataclasses.dataclass(frozen=True)
class Recording:
    """What a command did when nothing disturbed it."""

    writes: Sequence[str]
    calls: Sequence[str]

    def points(self) -> list[Point]:
        """All, in the order: calls, then files."""
        found: list[Point] = []
        seen: Counter[str] = Counter()
        first: dict[str, int] = {}
        repeated = {label for label, after in zip(self.calls, self.calls[1:], strict=False) if label == after}
        last, row = "", 0
        for label in self.calls:
            seen[label] += 1
            row = row + 1 if label == last else 1
            last = label
            first.setdefault(label, seen[label])
            if row <= _IN_A_ROW:
                polling = label in repeated and seen[label] > 1
                found += [Point(when, label, seen[label], polling) for when in ("before", "after")]
        return found + [Point("write", label, number) for number, label in enumerate(self.writes, 1)]


def chosen(points: Sequence[Point], few: int) -> list[Point]:
    """All in a whole sweep; otherwise `few`, of every kind, among those that change something."""
    if WHOLE:
        return list(points)
    kinds = ("after", "write", "before")
    found: list[Point] = []
    for number in range(few):
        kind = kinds[number % len(kinds)]
        these = [point for point in points if point.kind == kind and point.changing and point not in found]
        # The last call is the one that counts; among the files, one from the middle, where it is half done.
        found += these[len(these) // 2 :][:1] if kind == "write" else these[-1:]
    return found
