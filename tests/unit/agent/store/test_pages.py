"""Index entries in pages: nothing is lost, whenever it is cut off and whoever does it at the same time."""

from __future__ import annotations

import contextlib
import itertools
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsenv.agent.store import StoreWriteError, Writer, pages
from dsenv.agent.store.folder import FolderWriter
from dsenv.runs import index
from dsenv.runs.store.folder import FolderStore

DAY = "index/2026/03/01/failed/"


def run_id(number: int) -> str:
    return f"20260301T{number // 3600:02}{number // 60 % 60:02}{number % 60:02}-000000-abcd"


def entry(name: str) -> bytes:
    return json.dumps({"id": name, "started": 1, "command": ["x"], "exit": 1}).encode()


def filled(folder: Path, numbers: list[int]) -> FolderWriter:
    writer = FolderWriter(str(folder))
    for number in numbers:
        writer.put(f"{DAY}{run_id(number)}.json", entry(run_id(number)))
    return writer


def listed(folder: Path) -> list[str]:
    return [run.id for run in index.newest(FolderStore(folder))]


def never() -> bool:
    return False


def test_a_few_entries_are_left_alone(tmp_path: Path) -> None:
    writer = filled(tmp_path, list(range(pages.ENOUGH - 1)))
    assert pages.gather(writer, DAY, never) == 0
    assert len(list(writer.names(DAY))) == pages.ENOUGH - 1


def test_many_become_pages_and_small_pages_grow(tmp_path: Path) -> None:
    writer = filled(tmp_path, list(range(pages.ENOUGH)))
    assert pages.gather(writer, DAY, never) == pages.ENOUGH
    filled(tmp_path, list(range(1000, 1000 + 2 * pages.ENTRIES)))
    pages.gather(writer, DAY, never)
    found = [pages.page_of(name) for name in writer.names(DAY)]
    assert None not in found
    assert sorted(page.entries for page in found if page) == [pages.ENOUGH, pages.ENTRIES, pages.ENTRIES]
    assert listed(tmp_path) == [run_id(n) for n in (*range(2999, 999, -1), *range(pages.ENOUGH - 1, -1, -1))]


def test_what_is_no_entry_stays_where_it_is(tmp_path: Path) -> None:
    writer = filled(tmp_path, list(range(100)))
    writer.put(f"{DAY}{run_id(5)}.json", b"cut o")
    writer.put(f"{DAY}{run_id(6)}.json", entry(run_id(7)))
    writer.put(DAY + "notes.txt", b"somebody's")
    pages.gather(writer, DAY, never)
    left = sorted(name for name in writer.names(DAY) if not pages.page_of(name))
    assert left == [f"{run_id(5)}.json", f"{run_id(6)}.json", "notes.txt"]


class Failing(FolderWriter):
    """A folder whose service goes away after some calls."""

    def __init__(self, folder: str, calls: int) -> None:
        super().__init__(folder)
        self.calls = calls

    def _count(self) -> None:
        self.calls -= 1
        if self.calls < 0:
            raise StoreWriteError("gone")

    def put(self, key: str, data: bytes) -> None:
        self._count()
        super().put(key, data)

    def delete(self, key: str) -> None:
        self._count()
        super().delete(key)


@settings(max_examples=40)
@given(
    calls=st.integers(0, 150),
    at_once=st.sampled_from([1, 8]),
    numbers=st.sets(st.integers(0, 86_399), min_size=70, max_size=130),
)
def test_cut_off_anywhere_nothing_is_lost(
    calls: int, at_once: int, numbers: set[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("store")
    filled(folder, list(numbers))
    with contextlib.suppress(StoreWriteError), ThreadPoolExecutor(at_once) as pool:
        pages.gather(Failing(str(folder), calls), DAY, never, 1, map if at_once == 1 else pool.map)
    expected = [run_id(number) for number in sorted(numbers, reverse=True)]
    assert listed(folder) == expected
    pages.gather(FolderWriter(str(folder)), DAY, never, enough=1)
    assert listed(folder) == expected


def test_several_at_once_and_a_writer_beside_them(tmp_path: Path) -> None:
    filled(tmp_path, list(range(300)))
    always = {run_id(number) for number in range(300)}
    threads = [threading.Thread(target=pages.gather, args=(_writer(tmp_path), DAY, never, 1)) for _ in range(3)]
    threads.append(threading.Thread(target=filled, args=(tmp_path, list(range(300, 600)))))
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        found = listed(tmp_path)
        assert found == sorted(set(found), reverse=True)
        assert always <= set(found), "an entry that moves into a page while it is looked for is found there"
    for thread in threads:
        thread.join()
    assert listed(tmp_path) == [run_id(number) for number in range(599, -1, -1)]


def test_it_stops_between_deletions_and_what_is_left_counts_once(tmp_path: Path) -> None:
    writer = filled(tmp_path, list(range(100)))
    asked = itertools.count()
    assert pages.gather(writer, DAY, lambda: next(asked) > 120) == 100
    left = [name for name in writer.names(DAY) if not pages.page_of(name)]
    assert 50 < len(left) < 100
    assert listed(tmp_path) == [run_id(number) for number in range(99, -1, -1)]
    pages.remove(writer, DAY, {run_id(number) for number in range(10)})
    assert listed(tmp_path) == [run_id(number) for number in range(99, 9, -1)]


def _writer(folder: Path) -> Writer:
    return FolderWriter(str(folder))


def test_it_stops_when_it_is_told_to(tmp_path: Path) -> None:
    writer = filled(tmp_path, list(range(100)))
    assert pages.gather(writer, DAY, lambda: True) == 0
    assert len(list(writer.names(DAY))) == 100
