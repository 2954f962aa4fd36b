"""What differs between two places, why it matters, and what closes it. Pure: two fingerprints in, a report out.

Levels: `block` keeps one side's work from running on the other, `warn` can change a result, `info` is there to be
known. The verdict follows from them: blocked, different, compatible (only info), identical (nothing).
"""

from __future__ import annotations

from dsenv.envs.diff import place, promises, software
from dsenv.envs.diff.report import Difference, Facts, Report, Verdict

__all__ = ["LAYERS", "Difference", "Facts", "Report", "compare"]

LAYERS = ("packages", "python", "os", "cpu", "limits", "threads", "locale", "process", "env")


def compare(a: Facts, b: Facts, *, names: tuple[str, str] = ("a", "b")) -> Report:
    """Compare two fingerprints. A layer that one side does not know is not compared."""
    rows: list[Difference] = []
    for layer in (software.packages, software.python, *place.RULES, promises.unmet):
        rows += layer(a, b, names)
    rows.sort(key=lambda row: (LAYERS.index(row.layer), -("info", "warn", "block").index(row.level), row.name))
    levels = {row.level for row in rows}
    verdict: Verdict = (
        "blocked" if "block" in levels else "different" if "warn" in levels else "compatible" if rows else "identical"
    )
    digests = {
        "lock": (_lock_id(a), _lock_id(b)),
        "content": (a.get("content"), b.get("content")),
    }
    return Report(*names, verdict, digests, tuple(rows))


def _lock_id(facts: Facts) -> str | None:
    identity: str | None = facts.get("lock", {}).get("id") or facts.get("lock_id")
    return identity
