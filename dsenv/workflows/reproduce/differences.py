"""What still differs between a recorded run and its reproduction, the likeliest cause first."""

from __future__ import annotations

from dsenv.envs import fingerprint
from dsenv.envs.diff import compare
from dsenv.runs.record import Record
from dsenv.workflows.reproduce import numbers
from dsenv.workflows.reproduce.model import Difference, Item, Plan

# Causes by how often they are the reason: what the program was given, then what it ran with, then where.
_RANK = (
    "code",
    "input",
    "stdin",
    "environment",
    "env",
    "argv",
    "python",
    "limits",
    "cpu",
    "threads",
    "locale",
    "record",
    "folder",
)


def differences(record: Record, plan: Plan, observed: Record | None) -> tuple[Difference, ...]:
    """The differences that are known, ranked. `observed` is None when nothing was run."""
    found = [
        Difference(item.what, item.name, "as it was there", "not restored", item.note) for item in plan.not_restored
    ]
    if plan.code == "working-tree":
        found.insert(0, Difference("code", plan.root, "as it ran", "the working tree", "you asked for it"))
    if observed is not None:
        found += _fingerprints(record, observed)
    return tuple(sorted(found, key=lambda d: _RANK.index(d.what) if d.what in _RANK else len(_RANK)))


def unmet(record: Record, observed: Record) -> list[Item]:
    """What the reproduction's libraries turned out to compute otherwise, seen from inside."""
    there, here = (numbers.facts_at(found.data, "fingerprint") for found in (record, observed))
    return [Item("cpu", name, f"{was} there, {now} here") for name, was, now in numbers.unmet(there, here)]


def _fingerprints(record: Record, observed: Record) -> list[Difference]:
    """How the two places differ: packages, interpreter, CPU, limits, locale."""
    try:
        report = compare(fingerprint.of_run(record.data), fingerprint.of_run(observed.data), names=("recorded", "here"))
    except (LookupError, TypeError, AttributeError, ValueError):
        # The schema leaves the shape of a fingerprint open, and this one came from elsewhere.
        return [Difference("record", "fingerprint", "unreadable", "", "what is known of that machine cannot be read")]
    return [
        Difference(
            "environment" if row.layer == "packages" else row.layer,
            row.name,
            row.a or "absent",
            row.b or "absent",
            row.why,
        )
        for row in report.differences
        if row.level != "info" or row.layer == "packages"
    ]
