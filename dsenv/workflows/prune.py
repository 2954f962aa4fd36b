"""Remove old runs from a store, and the blobs that no run refers to any more.

The order makes it safe to end at any moment and to begin again: the entry of the index goes first, so that no list
shows a run that is half gone; then its files; blobs last: only those that nothing refers to, and that are so old that
no record on its way refers to them.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from dsenv.agent.store import StoreWriteError, Writer, pages
from dsenv.agent.store.base import UNREFERENCED_SECONDS
from dsenv.errors import RecordError, StoreError, UsageError
from dsenv.events import Cancel, Emit, Notice, Progress, StepNote, step
from dsenv.runs import index, keys, retention
from dsenv.runs.record import Record
from dsenv.runs.references import References
from dsenv.runs.retention import Kept, Rules
from dsenv.runs.store import Store, open_store
from dsenv.workflows.runs import store_url

_BATCH = 256


@dataclasses.dataclass(frozen=True)
class Pruned:
    """What went, or would go. `bytes` counts the runs' own files and the blobs."""

    store: str
    dry_run: bool
    runs: list[str]
    blobs: int
    bytes: int
    kept: int
    unreadable: list[str]  # runs whose references cannot be known; while there are any no blob is collected


_UNITS = {"": 1, "K": 1000, "M": 1000**2, "G": 1000**3, "T": 1000**4}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)B?", re.IGNORECASE)


def rules(*, before: int | None, max_size: str | None, statuses: Sequence[str]) -> Rules:
    """Rules from what a person typed. Raises UsageError."""
    unknown = [name for name in statuses if name not in retention.FINISHED]
    if unknown:
        raise UsageError(f"--status {unknown[0]} is not known", hint="use succeeded, failed or lost")
    most = None
    if max_size is not None:
        found = _SIZE.fullmatch(max_size.strip())
        if found is None:
            raise UsageError(f"--max-size {max_size} is no size", hint="write 500MB or 50GB")
        most = int(float(found.group(1)) * _UNITS[found.group(2).upper()])
    return Rules(before, most, frozenset(statuses) or retention.FINISHED)


def prune(store: str | None, rules: Rules, *, dry_run: bool = False, emit: Emit, cancel: Cancel) -> Pruned:
    """Apply `rules` to a store. Raises UsageError for rules that say nothing, StoreError and TransportError."""
    if rules.before is None and rules.max_bytes is None:
        raise UsageError("nothing says what may go", hint="dsenv runs prune --older-than 90d, or --max-size 50GB")
    opened = open_store(store_url(store))
    return _Prune(opened, rules, emit, cancel).work(dry_run=dry_run)


class _Prune:
    """One prune. Memory holds the digests of old blobs and the ids of the runs that go, never the records."""

    def __init__(self, store: Store, rules: Rules, emit: Emit, cancel: Cancel) -> None:
        self.store, self.rules, self.emit, self.cancel = store, rules, emit, cancel
        self.now = time.time()
        self.old = self.now - UNREFERENCED_SECONDS
        self.going: dict[str, Kept] = {}
        self.blobs: dict[str, int] = {}  # digests of old blobs, with their sizes
        self.users: Counter[str] = Counter()  # of these, how many runs that stay refer to each
        self.unreadable: list[str] = []
        self.references = References()
        self.kept = self.bytes = 0

    def work(self, *, dry_run: bool) -> Pruned:
        with step(self.emit, "choose", "choose the runs that go") as note:
            self._choose_by_age()
            note.note = f"{len(self.going):,} by age"
        with step(self.emit, "references", "read what the other runs refer to") as note:
            self._count_references(note)
        if self.rules.max_bytes is not None:
            with step(self.emit, "size", "make the store small enough") as note:
                self._choose_by_size(self.rules.max_bytes)
                note.note = f"{len(self.going):,} runs go"
        unused = [] if self.unreadable else [digest for digest in self.blobs if not self.users[digest]]
        self.bytes += sum(self.blobs[digest] for digest in unused)
        if not dry_run:
            self._delete(unused)
        ids = sorted(self.going)
        return Pruned(self.store.url, dry_run, ids, len(unused), self.bytes, self.kept, self.unreadable)

    def _choose_by_age(self) -> None:
        before = self.rules.before if self.rules.before is not None else 0
        for run in retention.oldest_first(self.store):
            self.cancel.check()
            if keys.started(run.id) < before and retention.may_go(self.store, run, self.rules, int(self.now * 1e6)):
                self._go(run)
            else:
                self.kept += 1

    def _go(self, run: Kept) -> int:
        size = sum(item.size for item in self.store.everything(keys.record(run.id)))
        self.going[run.id] = run
        self.bytes += size
        return size

    def _staying(self) -> Iterator[Kept]:
        return (run for run in retention.oldest_first(self.store) if run.id not in self.going)

    def _count_references(self, note: StepNote) -> None:
        for item in self.store.everything("blobs/"):
            digest = item.key.rpartition("/")[2]
            if item.written < self.old:
                self.blobs[digest] = item.size
        if not self.blobs:
            return
        for done, found in enumerate(self._referred(self._staying()), 1):
            self.users.update(digest for digest in found if digest in self.blobs)
            if done % _BATCH == 0:
                self.emit(Progress("references", done, self.kept, "runs"))
        note.note = f"{len(self.blobs) - len(+self.users):,} of {len(self.blobs):,} old blobs are not used"
        if self.unreadable:
            self.emit(Notice(f"no blob is collected: {len(self.unreadable)} records cannot be read", "warning"))

    def _referred(self, runs: Iterable[Kept]) -> Iterator[set[str]]:
        """What each of the runs refers to, read at once where that pays."""
        rest = iter(runs)
        with ThreadPoolExecutor(max_workers=self.store.concurrency) as pool:
            while group := list(itertools.islice(rest, _BATCH)):
                self.cancel.check()
                yield from pool.map(self._refers_to, group)

    def _refers_to(self, run: Kept) -> set[str]:
        try:
            return self.references.of(Record(self.store, run.id))
        except RecordError:
            if any(self.store.everything(keys.record(run.id))):
                self.unreadable.append(run.id)
            return set()

    def _choose_by_size(self, most: int) -> None:
        """The oldest go until what stays is small enough. A blob goes with the last run that refers to it."""
        size = sum(item.size for top in ("runs/", "index/", "blobs/") for item in self.store.everything(top))
        size -= self.bytes + sum(held for digest, held in self.blobs.items() if not self.users[digest])
        candidates = (
            run
            for run in self._staying()
            if size > most and retention.may_go(self.store, run, self.rules, int(self.now * 1e6))
        )
        for run in candidates:
            self.cancel.check()
            for digest in self._refers_to(run) & self.blobs.keys():
                self.users[digest] -= 1
                if not self.users[digest]:
                    size -= self.blobs[digest]
            size -= self._go(run)
            self.kept -= 1
        if size > most:
            self.emit(Notice(f"the store keeps {size:,} bytes: what is left may not go, or is too young", "warning"))

    def _delete(self, unused: list[str]) -> None:
        writer = self.store.writer()
        with ThreadPoolExecutor(max_workers=self.store.concurrency) as pool:
            self._delete_with(writer, pool.map, unused)

    def _delete_with(self, writer: Writer, each: pages.Each, unused: list[str]) -> None:
        with _translated(), step(self.emit, "delete", "delete") as note:
            for day, group in itertools.groupby(sorted(self.going.values(), key=lambda run: run.id), lambda r: r.day):
                self.cancel.check()
                ids = {run.id for run in group}
                for status in index.STATUSES:
                    pages.remove(writer, keys.index(day, status), ids, each)
                self.store.delete(
                    item.key for run_id in sorted(ids) for item in self.store.everything(keys.record(run_id))
                )
            places = (f"blobs/sha256/{digest[:2]}/{digest}" for digest in unused)
            collected = self.store.delete_old(places, self.old)
            note.note = f"{len(self.going):,} runs, {collected:,} blobs, {self.bytes / 1e6:,.1f} MB"
        with _translated(), step(self.emit, "index", "tidy the index"):
            self._tidy(writer, each)

    def _tidy(self, writer: Writer, each: pages.Each) -> None:
        """Runs that were lost long ago are listed as such, and single entries become pages."""
        for day in index.all_days(self.store):
            self.cancel.check()
            index.settle(self.store, writer, day, self.now)
            over = day < time.strftime("%Y/%m/%d", time.gmtime(self.now - 86_400))
            for status in ("failed", "lost", "succeeded"):
                enough = 2 if over else pages.ENOUGH
                pages.gather(writer, keys.index(day, status), lambda: self.cancel.requested, enough, each)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except StoreWriteError as error:
        raise StoreError(str(error), hint="check the permissions of the store, then repeat it") from error
