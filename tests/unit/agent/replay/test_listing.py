"""Folders are listed in the recorded order."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dsenv.workflows.reproduce import listings
from tests.measuring import measuring

PRINT = """
import glob, json, os, pathlib, shutil, sys, tempfile
from dsenv.agent.replay import listing
listing.install(json.loads(sys.argv[1]))
with os.scandir(b".") as found:
    scanned = [entry.name.decode() for entry in found if entry.is_file()]
closed = os.scandir(); closed.close()
handle = os.open(".", os.O_RDONLY)
safe = shutil.rmtree.avoids_symlink_attacks and os.listdir in os.supports_fd
os.mkdir("gone"); shutil.rmtree("gone")
print(json.dumps([os.listdir(), os.listdir(b"."), os.listdir(None), [p.name for p in pathlib.Path().iterdir()], scanned,
                  next(os.walk("."))[2], glob.glob("*"), sorted(os.listdir(handle)), next(closed, None), safe],
                 default=repr))
"""


def _run(folder: Path, orders: dict[str, list[str]]) -> Any:
    words = [sys.executable, "-c", PRINT, json.dumps(orders)]
    environ = {"PYTHONPATH": str(Path(__file__).parents[4]), **measuring()}
    return json.loads(subprocess.run(words, cwd=folder, env=environ, check=True, capture_output=True).stdout)


def test_every_way_to_list_gives_the_recorded_order(tmp_path: Path) -> None:
    names = ["c", "a", "new", "d", "b"]
    for name in names:
        (tmp_path / name).touch()
    order = ["d", "gone", "b", "c", "a"]
    *found, by_handle, after_close, safe = _run(tmp_path, {str(tmp_path): order})
    wanted = ["d", "b", "c", "a", "new"]
    assert found[1] == [repr(name.encode()) for name in wanted]
    assert [found[0], *found[2:]] == [wanted] * 6
    assert (by_handle, after_close, safe) == (sorted(names), None, True)


def test_other_folders_are_listed_as_they_are(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).touch()
    assert sorted(_run(tmp_path, {"/nowhere": ["b"]})[0]) == ["a", "b", "c"]


def _place(folder: Path, entries: dict[str, list[str]]) -> dict[str, Path]:
    return {path: folder / "files" / path.strip("/") for path in entries}


def test_what_was_listed_and_not_read_is_there_and_empty(tmp_path: Path) -> None:
    entries = {"/data/in": ["read.csv", "unread.csv", "sub/"]}
    place = _place(tmp_path, entries)
    place["/data/in"].mkdir(parents=True)
    (place["/data/in"] / "read.csv").write_text("1")
    told = list(listings.fill(entries, place, {"/data/in/read.csv"}, tmp_path / "files"))
    assert sorted(path.name for path in place["/data/in"].iterdir()) == ["read.csv", "sub", "unread.csv"]
    assert (place["/data/in"] / "sub").is_dir() and (place["/data/in"] / "read.csv").read_text() == "1"
    assert [item.note for item in told] == ["1 files in it were listed and not read; they are empty here"]


def test_nothing_is_made_behind_a_link(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "files").mkdir()
    (tmp_path / "files/data").symlink_to(outside)
    entries = {"/data": ["a"]}
    (told,) = listings.fill(entries, _place(tmp_path, entries), set(), tmp_path / "files")
    assert list(outside.iterdir()) == [] and "link" in told.note


@given(st.lists(st.text(max_size=6)), st.text(max_size=8))
def test_only_names_are_taken_from_a_record(names: list[str], folder: str) -> None:
    found = listings.listed([{"path": f"/{folder}", "how": "listed", "entries": [*names, "..", "a/b", ".", "x\0", ""]}])
    for path, entries in found.items():
        assert path.startswith("/") and ".." not in path.split("/")
        for entry in entries:
            assert entry.removesuffix("/") not in {"", ".", ".."}
            assert "/" not in entry.removesuffix("/") and "\0" not in entry


def test_what_this_machine_needs_is_not_covered(tmp_path: Path) -> None:
    kept = [str(tmp_path / "cache/dsenv")]
    folders = ["/", "/usr", "/tmp", str(tmp_path), str(tmp_path / "cache"), str(tmp_path / "data"), sys.prefix]
    assert listings.coverable(folders, kept) == [str(tmp_path / "data")]
