"""Which runs there are: read from the index, newest first, a day at a time."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from dsenv.agent.schema import Signature, Summary
from dsenv.errors import RecordError, UnknownRunError
from dsenv.runs import keys, validate
from dsenv.runs.store import Store

STATUSES = ("running", "succeeded", "failed")
_SUMMARY_LIMIT = 1 << 20
_STALE_SECONDS = 60.0


@dataclasses.dataclass(frozen=True)
class RunSummary:
    """One run as `dsenv runs` shows it. `status` is running, succeeded, failed or lost; times are microseconds."""

    id: str
    status: str
    exit: int | None
    signal: str | None
    started: int
    ended: int | None
    command: list[str]
    project: str | None
    task: str | None
    kind: str
    signature: Signature | None

    @property
    def failed(self) -> bool:
        """Whether it is worth reproducing: a lost run did not end well either."""
        return self.status in {"failed", "lost"}


def summary(value: Summary, status: str) -> RunSummary:
    """A checked index entry as a value."""
    return RunSummary(
        id=value["id"],
        status=status,
        exit=value.get("exit"),
        signal=value.get("signal"),
        started=value.get("started", 0),
        ended=value.get("ended"),
        command=value.get("command", []),
        project=value.get("project"),
        task=value.get("task"),
        kind=value.get("kind", "production"),
        signature=value.get("signature"),
    )


def newest(
    store: Store, *, statuses: Iterable[str] = STATUSES, keep: Callable[[RunSummary], bool] = lambda run: True
) -> Iterator[RunSummary]:
    """The runs of a store, newest first, as far as the caller reads.

    `statuses` are those of the index, so that failed runs are found without reading the others; `keep` is asked
    for each. Entries that cannot be read are left out: one damaged file must not hide all other runs.
    """
    wanted = tuple(statuses)
    for day in _days(store):
        found = sorted(
            ((name, status) for status in wanted for name in store.children(keys.index(day, status))), reverse=True
        )
        seen: set[str] = set()
        for run in _read(store, day, found):
            if run is not None and run.id not in seen and keep(run):
                seen.add(run.id)
                yield run


def _read(store: Store, day: str, found: list[tuple[str, str]]) -> Iterator[RunSummary | None]:
    """The entries in order; at once where that pays, a batch ahead of the reader at most."""
    if store.concurrency == 1:
        yield from (_entry(store, day, item) for item in found)
        return
    with ThreadPoolExecutor(max_workers=store.concurrency) as pool:
        for start in range(0, len(found), 64):
            yield from pool.map(partial(_entry, store, day), found[start : start + 64])


def find(store: Store, text: str) -> str:
    """The id of the run that `text` names: an id, a unique part of one, `last` or `last-failed`.

    Raises UnknownRunError when there is none or more than one.
    """
    if keys.RUN_ID.fullmatch(text):
        if store.size(keys.record(text, "started.json")) is None:
            raise UnknownRunError(f"{store.url} has no run {text}", hint="list them with `dsenv runs`")
        return text
    if text in {"last", "last-failed"}:
        statuses = STATUSES if text == "last" else ("failed", "running")
        run = next(newest(store, statuses=statuses, keep=lambda r: text == "last" or r.failed), None)
        if run is None:
            raise UnknownRunError(
                f"{store.url} has no {'failed ' if text != 'last' else ''}runs yet", hint="dsenv runs"
            )
        return run.id
    matches = [run.id for run in newest(store, keep=lambda run: text in run.id)] if len(text) >= 3 else []
    if len(matches) == 1:
        return matches[0]
    if matches:
        shown = "\n".join(matches[:8])
        raise UnknownRunError(f"{text} is part of {len(matches)} run ids", detail=shown, hint="give more of the id")
    raise UnknownRunError(f"{store.url} has no run {text}", hint=f"list them with `dsenv runs --store {store.url}`")


def _days(store: Store) -> Iterator[str]:
    """`yyyy/mm/dd` of all days with runs, newest first."""
    for year in _folders(store, "index/"):
        for month in _folders(store, f"index/{year}/"):
            for day in _folders(store, f"index/{year}/{month}/"):
                yield f"{year}/{month}/{day}"


def _folders(store: Store, prefix: str) -> list[str]:
    names = (name[:-1] for name in store.children(prefix) if name.endswith("/"))
    return sorted((name for name in names if name.isdigit()), reverse=True)


def _entry(store: Store, day: str, found: tuple[str, str]) -> RunSummary | None:
    name, status = found
    run_id = name.removesuffix(".json")
    if not keys.RUN_ID.fullmatch(run_id) or keys.day(run_id) != day:
        return None
    key = keys.index(day, status, run_id)
    try:
        data = store.read(key, limit=_SUMMARY_LIMIT)
        if data is None:
            return None
        value: Summary = validate.parse(data, Summary, key)
        if value.get("id") != run_id:
            return None
        return summary(value, status) if status != "running" else _unfinished(store, value)
    except RecordError:
        return None


def _unfinished(store: Store, value: Summary) -> RunSummary:
    """A run that the index calls running: it may have ended, or have been lost."""
    finished = store.read(keys.record(value["id"], "record.json"), limit=64 << 20)
    if finished is not None:
        done: Summary = validate.parse(finished, Summary, value["id"])
        return summary(done, done.get("status", "failed"))
    return summary(value, "running" if alive(store, value["id"]) else "lost")


def alive(store: Store, run_id: str) -> bool:
    """Whether the run's heartbeat is fresh."""
    beat = store.read(keys.record(run_id, "heartbeat"), limit=64)
    try:
        return beat is not None and time.time() - int(beat) / 1e6 < _STALE_SECONDS
    except ValueError:
        return False
