"""Which runs may go."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from dsenv.runs import index, keys
from dsenv.runs.store import Store

_DAY = 86_400_000_000
FINISHED = frozenset({"succeeded", "failed", "lost"})


@dataclasses.dataclass(frozen=True)
class Rules:
    """What may go. With `before` (microseconds since the epoch) what was started earlier; with `max_bytes` the oldest,
    until the store is not larger; with both, what either says. `statuses` are those that may go at all.
    """

    before: int | None = None
    max_bytes: int | None = None
    statuses: frozenset[str] = FINISHED


@dataclasses.dataclass(frozen=True)
class Kept:
    """A run that is in the store. `status` is that of the index: `running` for one that has no end there, and
    `unlisted` for what the index does not know, as an interrupted prune leaves it."""

    id: str
    status: str

    @property
    def day(self) -> str:
        return keys.day(self.id)


def oldest_first(store: Store) -> Iterator[Kept]:
    """All runs of a store, a day at a time: by their folders, for the index may lack some."""
    for day in index.all_days(store):
        listed: dict[str, str] = {}
        for status in ("running", "lost", "failed", "succeeded"):  # the end of a run counts more than its begin
            listed.update((run_id, status) for run_id in index.ids(store, day, status))
        folders = {name[:-1] for name in store.children(f"runs/{day}/") if keys.RUN_ID.fullmatch(name[:-1])}
        for run_id in sorted(folders | listed.keys()):
            if keys.day(run_id) == day:
                yield Kept(run_id, listed.get(run_id, "unlisted"))


def may_go(store: Store, run: Kept, rules: Rules, now: int) -> bool:
    """Whether a run is one of those that the rules are about. One that may still live never is."""
    if run.status in {"running", "unlisted"}:
        if keys.started(run.id) > now - _DAY or index.alive(store, run.id):
            return False
        return run.status == "unlisted" or "lost" in rules.statuses
    return run.status in rules.statuses
