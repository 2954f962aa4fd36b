"""Which runs there are: read from the index, newest first, a day at a time."""

from __future__ import annotations

import calendar
import dataclasses
import itertools
import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TypeVar

from dsenv.agent.schema import Signature, Summary
from dsenv.agent.store import Writer, pages
from dsenv.errors import RecordError, UnknownRunError
from dsenv.runs import keys, lost, validate
from dsenv.runs.store import Store

STATUSES = ("running", "succeeded", "failed", "lost")
FAILED = ("failed", "lost", "running")  # those among which failed runs are
_SUMMARY_LIMIT = 1 << 20
PAGE_LIMIT = 64 << 20
_SINGLES = 64
_FEW, _SOME = 4, 16  # requests ahead of who may be content with the newest: at first, and when he reads on
_EVER, _FAR = "9999/99/99", float("inf")
_MATCHES = 8
_LOOKED_AGAIN = 5
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


@dataclasses.dataclass(frozen=True)
class _Source:
    """Entries of one day and status that are read together: a page, or single entries beside each other."""

    day: str
    status: str
    last: str  # id of the newest
    names: tuple[str, ...]


def newest(
    store: Store,
    *,
    statuses: Iterable[str] = STATUSES,
    keep: Callable[[RunSummary], bool] = lambda run: True,
    since: int = 0,
    until: int | None = None,
) -> Iterator[RunSummary]:
    """The runs of a store, newest first, as far as the caller reads.

    `statuses` are those of the index, so that failed runs are found without reading the others; `keep` is asked
    for each; `since` and `until` bound the time of the start, in microseconds since the epoch. Memory holds a page of
    entries, and the bytes of `store.concurrency` where reading ahead pays. Entries that cannot be read are left out:
    one damaged file must not hide all other runs.
    """
    wanted = tuple(statuses)
    with ThreadPoolExecutor(max_workers=store.concurrency) as pool:
        folders = _together(store, pool, since, until)
        days = _days(folders, "index/", _day_of(since), _day_of(until) if until is not None else _EVER)
        few, most = (store.concurrency,) * 2  # of a time that is bounded all is wanted
        if not since:
            few, most = min(_FEW, few), min(_SOME, most)
        listed = _ahead(pool, few, most, partial(_sources, store, wanted), days)
        sources = itertools.chain.from_iterable(listed)
        loaded = _ahead(pool, few, most, partial(_load, store), sources)
        before = ""
        for run in _merged((last, runs()) for last, runs in loaded):
            doubled, before = run.id == before, run.id
            if not doubled and run.started >= since and (until is None or run.started <= until) and keep(run):
                yield run


_T = TypeVar("_T")
_R = TypeVar("_R")


def _ahead(
    pool: ThreadPoolExecutor, few: int, most: int, function: Callable[[_T], _R], items: Iterable[_T]
) -> Iterator[_R]:
    """`map`, in order, with results made ahead of the reader: `few` at first, and up to `most`."""
    if most == 1:
        yield from map(function, items)
        return
    waiting: deque[Future[_R]] = deque()
    ahead, rest = few, iter(items)
    try:
        while True:
            waiting.extend(pool.submit(function, item) for item in itertools.islice(rest, ahead - len(waiting)))
            if not waiting:
                return
            yield waiting.popleft().result()
            ahead = min(ahead * 2, most)
    finally:
        for future in waiting:
            future.cancel()


def _sources(store: Store, statuses: tuple[str, ...], day: str) -> list[_Source]:
    """What there is to read of a day, newest first."""
    found: list[_Source] = []
    for status, names in store.below(f"index/{day}/", statuses).items():
        found += [_Source(day, status, page.last, (page.name,)) for page in map(pages.page_of, names) if page]
        singles = sorted((name for name in names if pages.ENTRY.fullmatch(name)), reverse=True)
        together = _SINGLES if store.concurrency == 1 else 1
        for start in range(0, len(singles), together):
            group = tuple(singles[start : start + together])
            found.append(_Source(day, status, group[0].removesuffix(".json"), group))
    return sorted(found, key=lambda source: source.last, reverse=True)


def _load(store: Store, source: _Source) -> tuple[str, Callable[[], list[RunSummary]]]:
    """The id that was promised as the newest, and what gives the entries of a source, newest last.

    They are read here, and made values when their turn comes: bytes that wait take a tenth of the memory.
    """
    lines: list[bytes] = []
    for name in source.names:
        with suppress(RecordError):
            lines += _lines(store, source, name)
    values = partial(_values, store, source, lines)
    if source.status != "running":
        return source.last, values
    found = values()  # how these have ended is asked of the store
    return source.last, lambda: found


def _values(store: Store, source: _Source, lines: list[bytes]) -> list[RunSummary]:
    first = min(_bounds(name)[0] for name in source.names)
    runs = (_entry(store, source, line) for line in lines)
    return sorted((run for run in runs if run and first <= run.id <= source.last), key=lambda run: run.id)


def _bounds(name: str) -> tuple[str, str]:
    """The ids of the first and the last run that a name speaks for."""
    page = pages.page_of(name)
    return (page.first, page.last) if page else (name.removesuffix(".json"), name.removesuffix(".json"))


def _lines(store: Store, source: _Source, name: str) -> list[bytes]:
    """The entries below one name. Between listing and reading they may have moved into a page, or have ended.

    Raises RecordError when they cannot be read, or are moved all the time.
    """
    prefix, (first, last) = keys.index(source.day, source.status), _bounds(name)
    single = pages.page_of(name) is None
    data = store.read(prefix + name, limit=_SUMMARY_LIMIT if single else PAGE_LIMIT)
    if data is not None:
        return [data] if single else data.splitlines()
    if source.status == "running":
        return [json.dumps({"id": first}).encode()]  # its record tells the rest
    for _ in range(_LOOKED_AGAIN):
        names = store.below(f"index/{source.day}/", [source.status]).get(source.status, set())
        named = (pages.page_of(other) for other in names)
        over = [page.name for page in named if page and page.first <= last and page.last >= first]
        held = [store.read(prefix + page, limit=PAGE_LIMIT) for page in over]
        if None not in held:  # else that page has moved on in its turn
            return [line for data in held if data for line in data.splitlines()]
    raise RecordError(f"{store.url}/{prefix} is changed all the time", hint="repeat it")


def ids(store: Store, day: str, status: str) -> set[str]:
    """The runs that the index has under a day and a status, in pages or not. Raises RecordError, StoreError."""
    found: set[str] = set()
    for name in store.below(f"index/{day}/", [status]).get(status, set()):
        if pages.page_of(name):
            found.update(pages.entries_of(b"\n".join(_lines(store, _Source(day, status, "", (name,)), name))))
        elif pages.ENTRY.fullmatch(name):
            found.add(name.removesuffix(".json"))
    return found


def _merged(loaded: Iterable[tuple[str, list[RunSummary]]]) -> Iterator[RunSummary]:
    """Entries of sources that may overlap, newest first. The sources come by their newest entry."""
    waiting: list[list[RunSummary]] = []
    for last, runs in loaded:
        while waiting and max(runs[-1].id for runs in waiting) > last:
            yield _pop_newest(waiting)
        if runs:
            waiting.append(runs)
    while waiting:
        yield _pop_newest(waiting)


def _pop_newest(waiting: list[list[RunSummary]]) -> RunSummary:
    position = max(range(len(waiting)), key=lambda number: waiting[number][-1].id)
    newest_one = waiting[position].pop()
    if not waiting[position]:
        del waiting[position]
    return newest_one


def find(store: Store, text: str) -> str:
    """The id of the run that `text` names: an id, a unique part of one, `last` or `last-failed`.

    Raises UnknownRunError when there is none or more than one.
    """
    if keys.RUN_ID.fullmatch(text):
        if store.size(keys.record(text, "started.json")) is None:
            raise UnknownRunError(f"{store.url} has no run {text}", hint="list them with `dsenv runs`")
        return text
    if text in {"last", "last-failed"}:
        statuses = STATUSES if text == "last" else FAILED
        run = next(newest(store, statuses=statuses, keep=lambda r: text == "last" or r.failed), None)
        if run is None:
            raise UnknownRunError(
                f"{store.url} has no {'failed ' if text != 'last' else ''}runs yet", hint="dsenv runs"
            )
        return run.id
    since, until = _time_of(text)
    found = newest(store, keep=lambda run: text in run.id, since=since, until=until) if len(text) >= 3 else iter(())
    matches = [run.id for run in itertools.islice(found, _MATCHES + 1)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        many = f"{len(matches)}" if len(matches) <= _MATCHES else f"more than {_MATCHES}"
        shown = "\n".join(matches[:_MATCHES])
        raise UnknownRunError(f"{text} is part of {many} run ids", detail=shown, hint="give more of the id")
    raise UnknownRunError(f"{store.url} has no run {text}", hint=f"list them with `dsenv runs --store {store.url}`")


def _time_of(text: str) -> tuple[int, int | None]:
    """The day that the beginning of an id names, as the times of its begin and end; all time for other text."""
    try:
        begin = calendar.timegm(time.strptime(text[:8], "%Y%m%d")) * 1_000_000
    except ValueError:
        return 0, None
    return begin, begin + 86_400_000_000


def all_days(store: Store) -> list[str]:
    """`yyyy/mm/dd` of all days of which there is anything, oldest first."""
    folders = partial(_folders, store)
    return sorted({day for top in ("index/", "runs/") for day in _days(folders, top, "", _EVER)})


def _days(folders: Callable[[str], list[str]], top: str, since: str, until: str) -> Iterator[str]:
    """`yyyy/mm/dd` of the days below `top`, newest first, from `since` to `until` in that form."""
    for year in folders(top):
        if not since[:4] <= year <= until[:4]:
            continue
        for month in folders(f"{top}{year}/"):
            if not since[:7] <= f"{year}/{month}" <= until[:7]:
                continue
            for day in folders(f"{top}{year}/{month}/"):
                if since <= f"{year}/{month}/{day}" <= until:
                    yield f"{year}/{month}/{day}"


def _together(store: Store, pool: ThreadPoolExecutor, since: int, until: int | None) -> Callable[[str], list[str]]:
    """`_folders`. Where several requests take as long as one, those that are likely to be needed go out at once: the
    years, and the newest months of the time that is asked for."""
    if store.concurrency == 1:
        return partial(_folders, store)
    end = min(time.time(), until / 1e6 if until is not None else _FAR)
    months = {_day_of(int(max(end - days * 86_400, since / 1e6) * 1e6))[:7] for days in (0, 28, 56)}
    likely = {"index/"} | {f"index/{month[:4]}/" for month in months} | {f"index/{month}/" for month in months}
    begun = {prefix: pool.submit(_folders, store, prefix) for prefix in sorted(likely)}
    return lambda prefix: begun.pop(prefix).result() if prefix in begun else _folders(store, prefix)


def _day_of(when: int) -> str:
    return time.strftime("%Y/%m/%d", time.gmtime(when / 1e6))


def _folders(store: Store, prefix: str) -> list[str]:
    names = (name[:-1] for name in store.children(prefix) if name.endswith("/"))
    return sorted((name for name in names if name.isdigit()), reverse=True)


def _entry(store: Store, source: _Source, data: bytes) -> RunSummary | None:
    try:
        value: Summary = validate.parse(data, Summary, "the index")
        run_id = value.get("id", "")
        if not keys.RUN_ID.fullmatch(run_id) or not run_id.startswith(source.day.replace("/", "")):
            return None
        return summary(value, source.status) if source.status != "running" else _unfinished(store, value)
    except RecordError:
        return None


def _unfinished(store: Store, value: Summary) -> RunSummary:
    """A run that the index calls running: it may have ended, or have been lost."""
    finished = store.read(keys.record(value["id"], "record.json"), limit=64 << 20)
    if finished is not None:
        done: Summary = validate.parse(finished, Summary, value["id"])
        return summary(done, done.get("status", "failed"))
    if alive(store, value["id"]):
        return summary(value, "running")
    try:
        found = lost.presume_briefly(store, value["id"])
    except RecordError:  # a damaged black box must not hide the run
        return summary(value, "lost")
    return summary({**value, "signature": found}, "lost")


def settle(store: Store, writer: Writer, day: str, now: float) -> int:
    """Take the runs of a day that have ended, or gave no sign for a day, out of `running`; returns how many.

    The lost ones get an entry of that status, so that no reader needs to look for their end again. `now` is in seconds
    since the epoch. Raises StoreError, StoreWriteError.
    """
    settled = 0
    for name in list(store.children(keys.index(day, "running"))):
        run_id = name.removesuffix(".json")
        if not pages.ENTRY.fullmatch(name) or keys.started(run_id) / 1e6 > now - 86_400 or alive(store, run_id):
            continue
        found = _entry(store, _Source(day, "running", run_id, (name,)), _read_entry(store, day, name))
        if found is None or found.id != run_id:
            continue
        entry = {field.name: getattr(found, field.name) for field in dataclasses.fields(found)}
        writer.put(keys.index(day, found.status, run_id), json.dumps(entry).encode("ascii"))
        writer.delete(keys.index(day, "running", run_id))
        settled += 1
    return settled


def _read_entry(store: Store, day: str, name: str) -> bytes:
    try:
        return store.read(keys.index(day, "running") + name, limit=_SUMMARY_LIMIT) or b""
    except RecordError:
        return b""


def alive(store: Store, run_id: str) -> bool:
    """Whether the run's heartbeat is fresh."""
    beat = store.read(keys.record(run_id, "heartbeat"), limit=64)
    try:
        return beat is not None and time.time() - int(beat) / 1e6 < _STALE_SECONDS
    except ValueError:
        return False
