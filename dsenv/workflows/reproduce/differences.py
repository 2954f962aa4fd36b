"""What still differs between a recorded run and its reproduction, the likeliest cause first."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Any

from dsenv.agent import schema
from dsenv.envs import fingerprint
from dsenv.envs.diff import compare
from dsenv.runs.record import Record
from dsenv.workflows.reproduce import numbers
from dsenv.workflows.reproduce.model import Difference, Item, Plan

# Causes by how often they are the reason: what the program was given, then what it ran with, then where and when.
_RANK = (
    *("code", "input", "stdin", "environment", "python", "env", "argv", "limits", "cpu", "threads", "randomness"),
    *("timezone", "locale", "network", "clock", "os", "process", "folder", "record"),
)
# What a failure, there or here, says of its cause by itself.
_HINTS = tuple(
    (what, re.compile(pattern, re.IGNORECASE))
    for what, pattern in (
        ("input", r"FileNotFound|NotADirectory|NoSuchKey"),
        ("environment", r"ModuleNotFound|ImportError|undefined symbol|no attribute"),
        (
            "limits",
            r"MemoryError|bad_alloc|out-of-memory|too many open files|file too large|SIGXFSZ|SIGXCPU|RecursionE",
        ),
        (
            "network",
            r"Connection|gaierror|URLError|HTTPError|Endpoint|SSLError|socket|timed out|Temporary failure in na",
        ),
        ("locale", r"Unicode|codec can't|locale"),
        ("timezone", r"time ?zone|utcoffset|daylight|tzinfo"),
        ("clock", r"expire|\bdate\b|datetime|<n>-<n>-<n>|deadline|in the (future|past)"),
        ("env", r"placeholder"),
        ("folder", r"Value too large for defined data type|Read-only file system|Invalid cross-device link"),
    )
)
_SWITCHES = {
    "clock": "dsenv reproduce {run} --clock recorded",
    "cpu": "dsenv up on a machine with the recorded processor, then reproduce there",
}
# What was had again by telling the program, or by limits of its own process, is not seen from beside it.
_SAME_AS = {"memory_limit": "memory", "cpu_limit": "CPU quota", "kernel": "blas kernel"}


def differences(
    record: Record, plan: Plan, observed: Record | None, also: Iterable[Item] = ()
) -> tuple[Difference, ...]:
    """The differences that are known, ranked. `observed` is None when nothing was run; `also` was found by running."""
    found = [
        Difference(item.what, item.name, "as it was there", "not restored", item.note)
        for item in (*plan.not_restored, *also)
        if item.what != "clock" or not item.name
    ]
    if plan.code == "working-tree":
        fix = f"dsenv reproduce {plan.run.id} --code recorded"
        found.insert(0, Difference("code", plan.root, "as it ran", "the working tree", "you asked for it", fix))
    if observed is not None:
        found += _fingerprints(record, observed, plan)
        found += _network(observed.data.get("signature"))
    hinted = _hinted(record.data.get("signature"), observed.data.get("signature") if observed else None)
    unique: dict[tuple[str, str], Difference] = {}
    for item in found:
        unique.setdefault((item.what, item.name), item)
    ordered = sorted(unique.values(), key=lambda item: _rank(item, hinted))
    return tuple(_with_switch(item, plan) for item in ordered)


def _rank(item: Difference, hinted: set[str]) -> tuple[bool, int]:
    known = _RANK.index(item.what) if item.what in _RANK else len(_RANK)
    return item.what not in hinted, known


def _hinted(*signatures: schema.Signature | None) -> set[str]:
    words = " ".join(
        str(found.get(name)) for found in signatures if found for name in ("type", "message", "signal", "cause")
    )
    return {what for what, pattern in _HINTS if pattern.search(words)}


def _with_switch(item: Difference, plan: Plan) -> Difference:
    switch = _SWITCHES.get(item.what, "") if not item.fix else item.fix
    return dataclasses.replace(item, fix=switch.format(run=plan.run.id, name=item.name))


def _network(observed: Mapping[str, Any] | None) -> list[Difference]:
    """A failure here that speaks of the network: nothing of that is recorded."""
    words = f"{(observed or {}).get('type')} {(observed or {}).get('message')}"
    if not dict(_HINTS)["network"].search(words):
        return []
    why = "what other machines answer is not recorded: let it reach them, or put a file in their place"
    return [Difference("network", "", "as they answered there", "as they answer here", why)]


def unmet(record: Record, observed: Record) -> list[Item]:
    """What the reproduction's libraries turned out to compute otherwise, seen from inside."""
    there, here = (numbers.facts_at(found.data, "fingerprint") for found in (record, observed))
    return [Item("cpu", name, f"{was} there, {now} here") for name, was, now in numbers.unmet(there, here)]


def _fingerprints(record: Record, observed: Record, plan: Plan) -> list[Difference]:
    """How the two places differ: packages, interpreter, CPU, limits, locale; less what was had again."""
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
        if (row.level != "info" or row.layer == "packages") and not _had_again(row.layer, row.name, row.a, plan)
    ]


def _had_again(layer: str, name: str, recorded: str | None, plan: Plan) -> bool:
    restored = {(item.what, item.name) for item in plan.restored}
    if name in plan.conditions.variables or (
        name == "PYTHONHASHSEED" and ("hash-seed", plan.env.get(name)) in restored
    ):
        return True
    if layer == "locale" and name in {"offset", "timezone", "TZ"}:
        return any(what == "timezone" for what, _ in restored)
    if (layer, name) == ("cpu", "features"):
        # Nothing that was there is missing here: what is here in addition was left out.
        return recorded is None and any(what == "cpu" for what, _ in restored)
    return (layer, _SAME_AS.get(name, name)) in restored
