"""What ran and what failed."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from dsenv.config import paths
from dsenv.errors import ConfigError
from dsenv.runs import index
from dsenv.runs.store import Store, open_store


@dataclasses.dataclass(frozen=True)
class Runs:
    """The runs of a store, newest first."""

    store: str
    runs: list[index.RunSummary]
    more: bool  # there are older ones that were not read

    def to_json(self) -> dict[str, Any]:
        return {"store": self.store, "runs": self.runs, "more": self.more}


def store_url(given: str | None) -> str:
    """The store that is meant: `--store`, $DSENV_STORE, the project's, or the user's data folder."""
    if given:
        return given
    if from_environment := os.environ.get("DSENV_STORE"):
        return from_environment
    from dsenv.config import load  # its models take time to make, and a store that was named needs none

    root = load.find()
    if root is not None:
        try:
            configured = load.parse(root / load.FILE).runs.store
        except ConfigError:
            # These commands need no project, so a broken one must not stop them.
            configured = None
        if configured:
            return configured if "://" in configured else str(root / Path(configured).expanduser())
    return str(paths.default_store())


@dataclasses.dataclass(frozen=True)
class Wanted:
    """Which runs: `failed` are the failed and the lost ones; times are microseconds since the epoch."""

    failed: bool = False
    project: str | None = None
    since: int = 0
    until: int | None = None
    limit: int | None = 50


def runs(store: str | None, wanted: Wanted = Wanted()) -> Runs:
    """List runs. Raises StoreError and TransportError."""
    opened = open_store(store_url(store))
    found = matching(opened, wanted)
    if wanted.limit is None:
        return Runs(opened.url, list(found), more=False)
    first = list(islice(found, wanted.limit + 1))
    return Runs(opened.url, first[: wanted.limit], more=len(first) > wanted.limit)


def matching(store: Store, wanted: Wanted) -> Iterator[index.RunSummary]:
    """The wanted runs, newest first, a page in memory at a time."""

    def keep(run: index.RunSummary) -> bool:
        return (not wanted.failed or run.failed) and (wanted.project is None or run.project == wanted.project)

    statuses = index.FAILED if wanted.failed else index.STATUSES
    return index.newest(store, statuses=statuses, keep=keep, since=wanted.since, until=wanted.until)
