from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsenv.agent import tree

_ENTRIES = st.dictionaries(
    st.text("abc/é\udcff", min_size=1, max_size=5),
    st.builds(
        tree.Entry, st.sampled_from("fld"), st.sampled_from([0, 0o644, 0o755]), st.sampled_from(["", "aa", "bb"])
    ),
    max_size=6,
)


@given(entries=_ENTRIES)
def test_a_generation_is_free_of_order(entries: dict[str, tree.Entry]) -> None:
    assert tree.generation(entries) == tree.generation(dict(reversed(list(entries.items()))))


@given(one=_ENTRIES, other=_ENTRIES)
def test_equal_generations_are_equal_trees(one: dict[str, tree.Entry], other: dict[str, tree.Entry]) -> None:
    assert (tree.generation(one) == tree.generation(other)) == (one == other)


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/", ".", "a/.", "a\0b"])
def test_paths_that_leave_their_tree(path: str) -> None:
    with pytest.raises(tree.UnsafePathError):
        tree.check_path(path)


@pytest.mark.parametrize("path", ["a", "a/b c", "..a", "a\nb", "-", "~", "a\udcffb", "C:x"])
def test_odd_names_are_paths(path: str) -> None:
    assert tree.check_path(path) == path


def test_a_scan_finds_files_links_and_empty_folders(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "f").write_text("x")
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to(".")
    (tmp_path / "skip").mkdir()
    (tmp_path / "skip" / "g").write_text("x")
    os.mkfifo(tmp_path / "pipe")
    result = tree.scan(str(tmp_path), lambda path, _: path != "skip")
    kinds = {found.path: found.kind for found in result.found}
    assert kinds == {"a/f": "f", "empty": "d", "link": "l", "loop": "l"}
    assert result.refused == [("pipe", "not a file, folder or link")]


def test_a_missing_root_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nothing"):
        tree.scan(str(tmp_path / "nothing"), lambda *_: True)


def test_a_hash_is_trusted_only_when_the_file_is_older_than_it(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_text("one")
    stat = tree.stat_of(file.stat())
    young = tree.StatCache({"f": (stat, "hash")}, time.time_ns())
    old = tree.StatCache({"f": (stat, "hash")}, time.time_ns() + 1_000_000_000)
    assert young.lookup("f", stat) is None
    assert old.lookup("f", stat) == "hash"
    assert old.lookup("g", stat) is None
    assert old.lookup("f", stat._replace(size=4)) is None
    assert tree.StatCache.from_json(old.to_json()).lookup("f", stat) == "hash"


def test_names_that_differ_in_case_only() -> None:
    assert list(tree.case_clashes(["a/B", "a/b", "c"])) == [("a/B", "a/b")]
    assert list(tree.case_clashes(["é", "e\u0301"])) == [("é", "e\u0301")]


def test_entries_as_json() -> None:
    entries = {"a\udcff": tree.Entry("f", 0o644, "aa"), "b": tree.Entry("d", 0, "")}
    assert tree.entries_from_json(tree.entries_to_json(entries)) == entries
    with pytest.raises(tree.UnsafePathError):
        tree.entries_from_json([["../x", "f", 0, ""]])


def test_hashes_agree(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x" * 3_000_000)
    assert tree.hash_file(str(tmp_path / "f")) == tree.hash_bytes(b"x" * 3_000_000)
