"""Gathers index entries of finished runs into pages: a month is then read with a request a day, not one a run.

A page is a file of JSON lines beside the entries, named `page.<first id>.<last id>.<entries>.<digest>.jsonl`. Nothing
waits for it: a reader takes pages and single entries together and believes one of two that speak of the same run. So
it can be done by anyone at any time, by several at once, and be cut off anywhere: a page is written before what it
replaces goes.
"""

from __future__ import annotations

import json
from typing import AbstractSet, Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

from dsenv.agent.digests import sha256
from dsenv.agent.patterns import lazy
from dsenv.agent.store.base import Writer

ENTRIES = 1000  # of a full page
ENOUGH = 64  # single entries that are worth a page
_HALF = ENTRIES // 2
_AHEAD = 256

Each = Callable[..., Iterator[Any]]  # `map`, or one that does several at once

_ID = r"\d{8}T\d{6}-\d{6}-[a-z2-7]{4}"
ENTRY = lazy("({})\\.json".format(_ID))
_PAGE = lazy("page\\.({0})\\.({0})\\.(\\d{{1,6}})\\.[0-9a-f]{{16}}\\.jsonl".format(_ID))


class Page(NamedTuple):
    """What the name of a page says: the ids of its first and last run, and how many it has."""

    name: str
    first: str
    last: str
    entries: int


def page_of(name: str) -> Optional[Page]:
    """A page by its name; None for the name of anything else."""
    found = _PAGE.fullmatch(name)
    return Page(name, found.group(1), found.group(2), int(found.group(3))) if found else None


def gather(writer: Writer, prefix: str, stop: Callable[[], bool], enough: int = ENOUGH, each: Each = map) -> int:
    """Put the single entries below `prefix` into pages, with those of pages that are not half full.

    `prefix` is that of a day and a status, with `/` at its end. Returns how many entries were moved; `stop` is asked
    at each of them. Raises StoreWriteError.
    """
    names = list(writer.names(prefix))
    singles = [found.group(1) for found in map(ENTRY.fullmatch, names) if found]
    if len(singles) < enough:
        return 0
    lines: Dict[str, bytes] = {}
    replaced: List[str] = []
    for page in filter(None, map(page_of, names)):
        if page.entries < _HALF:
            lines.update(entries_of(writer.read(prefix + page.name) or b""))
            replaced.append(page.name)
    moved = 0
    for run_id, data in _entries(writer, prefix, sorted(singles), each):
        if stop():
            return moved
        line = _line(data, run_id)
        if line is not None:
            lines[run_id] = line
            replaced.append(run_id + ".json")
        if len(lines) >= ENTRIES:
            moved += _turn(writer, prefix, lines, replaced, stop, each)
            lines, replaced = {}, []
    return moved + _turn(writer, prefix, lines, replaced, stop, each)


def _entries(writer: Writer, prefix: str, ids: List[str], each: Each) -> Iterator[Tuple[str, Optional[bytes]]]:
    """Single entries by run id, read when their turn comes, or a group ahead where `each` does several at once."""
    for begin in range(0, len(ids), _AHEAD):
        group = ids[begin : begin + _AHEAD]
        yield from zip(group, each(lambda run_id: writer.read(prefix + run_id + ".json"), group))


def write(writer: Writer, prefix: str, lines: Dict[str, bytes]) -> Optional[str]:
    """Write a page of entries by run id; returns its name, None for no entries. Raises StoreWriteError."""
    if not lines:
        return None
    ids = sorted(lines)
    data = b"".join(lines[run_id] + b"\n" for run_id in ids)
    digest = sha256(data).hexdigest()[:16]
    name = "page.{}.{}.{}.{}.jsonl".format(ids[0], ids[-1], len(ids), digest)
    writer.put(prefix + name, data)
    return name


def remove(writer: Writer, prefix: str, ids: AbstractSet[str], each: Each = map) -> None:
    """Take runs out of the index, wherever below `prefix` they are. Raises StoreWriteError."""

    def remove_from(name: str) -> None:
        if page_of(name) is None:
            if name.endswith(".json") and name[:-5] in ids:
                writer.delete(prefix + name)
            return
        lines = entries_of(writer.read(prefix + name) or b"")
        left = {run_id: line for run_id, line in lines.items() if run_id not in ids}
        if len(left) < len(lines):
            write(writer, prefix, left)
            writer.delete(prefix + name)

    for _ in each(remove_from, list(writer.names(prefix))):
        pass


def entries_of(data: bytes) -> Dict[str, bytes]:
    """The lines of a page by run id. A line that is no entry is left out."""
    found: Dict[str, bytes] = {}
    for line in data.split(b"\n"):
        try:
            run_id = json.loads(line)["id"]
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
        if isinstance(run_id, str):
            found[run_id] = line
    return found


def _turn(
    writer: Writer, prefix: str, lines: Dict[str, bytes], replaced: List[str], stop: Callable[[], bool], each: Each
) -> int:
    """Write the page, then delete what it replaces; what is left of that is told twice, and counts once."""
    written = write(writer, prefix, lines)
    for _ in each(lambda name: writer.delete(prefix + name), [name for name in replaced if name != written]):
        if stop():
            break
    return len(lines)


def _line(data: Optional[bytes], run_id: str) -> Optional[bytes]:
    """An entry as one line; None when it is gone, or is not what its name says: such a one stays where it is."""
    try:
        value = json.loads(data or b"")
        if value["id"] != run_id:
            return None
        return json.dumps(value).encode("ascii")
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
