"""What ran and what failed."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from dsenv.config import load, paths
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


def runs(store: str | None, *, failed: bool = False, project: str | None = None, limit: int = 50) -> Runs:
    """List runs; `failed` keeps the failed and the lost ones. Raises StoreError and TransportError."""
    opened = open_store(store_url(store))
    found = list(islice(_matching(opened, failed=failed, project=project), limit + 1))
    return Runs(opened.url, found[:limit], more=len(found) > limit)


def _matching(store: Store, *, failed: bool, project: str | None) -> Iterator[index.RunSummary]:
    def keep(run: index.RunSummary) -> bool:
        return (not failed or run.failed) and (project is None or run.project == project)

    return index.newest(store, statuses=("failed", "running") if failed else index.STATUSES, keep=keep)
