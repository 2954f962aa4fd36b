"""The values of a comparison."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

Level = Literal["info", "warn", "block"]
Verdict = Literal["identical", "compatible", "different", "blocked"]
Facts = Mapping[str, Any]
_SHOWN = 12


@dataclasses.dataclass(frozen=True)
class Difference:
    """One row: what is on either side (None: absent), why it matters, and the command or edit that closes it."""

    layer: str
    name: str
    a: str | None
    b: str | None
    level: Level
    why: str
    fix: str


@dataclasses.dataclass(frozen=True)
class Report:
    """Two places compared. `a` and `b` are their names; `digests` are lock and content of either side."""

    a: str
    b: str
    verdict: Verdict
    digests: dict[str, tuple[str | None, str | None]]
    differences: tuple[Difference, ...]

    @property
    def parity(self) -> bool:
        """Whether work moves from one side to the other without surprises."""
        return self.verdict in {"identical", "compatible"}


def text(value: Any) -> str | None:
    """A fact as it is shown; None for one that is absent or empty."""
    if value is None or value == "":
        return None
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def shorten(items: list[str]) -> str:
    """The first items, and how many more there are."""
    more = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return "; ".join(items[:_SHOWN]) + more
