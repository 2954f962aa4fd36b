from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsenv.agent import protocol, records, tree
from dsenv.agent.apply import ApplyError, Staging, Tree, copy_tree


def _header(kind: str, path: str, data: bytes = b"", mode: int = 0o644) -> bytes:
    return records.pack(records.Header(kind, path, mode, 1_600_000_000_000_000_000, len(data))) + data


def _staged(folder: Path, *pieces: bytes) -> Staging:
    staging = Staging(str(folder / "stage"))
    reader = records.Reader(staging)
    decoder = protocol.Decoder()
    for frame in records.compress(iter(pieces)):
        for _, payload in decoder.feed(frame):
            reader.feed(payload)
    assert reader.complete
    return staging


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Tree]:
    (tmp_path / "root").mkdir()
    yield Tree(str(tmp_path / "root"), str(tmp_path / "kept"), {}, {})


def _push(tmp_path: Path, there: Tree, *pieces: bytes) -> None:
    staging = _staged(tmp_path, *pieces)
    try:
        there.apply(staging)
    finally:
        staging.close()
    assert not (tmp_path / "stage").exists()


def test_files_links_folders_and_their_ends(tmp_path: Path, there: Tree) -> None:
    root = tmp_path / "root"
    _push(
        tmp_path,
        there,
        _header("f", "a/b/run.sh", b"#!/bin/sh\n", 0o755),
        _header("l", "link", b"a/b/run.sh"),
        _header("d", "empty/inner"),
        _header("f", "odd \n name\udcff", b""),
    )
    assert (root / "a/b/run.sh").stat().st_mode & 0o777 == 0o755
    assert (root / "a/b/run.sh").stat().st_mtime == 1_600_000_000
    assert os.readlink(root / "link") == "a/b/run.sh"
    assert (root / "empty/inner").is_dir()
    assert os.path.exists(os.fsencode(root) + b"/odd \n name\xff")
    assert there.changed() == []
    _push(tmp_path, there, *(_header("x", path) for path in list(there.entries)))
    assert list(root.iterdir()) == []
    assert there.entries == {}


def test_a_file_becomes_a_folder_and_back(tmp_path: Path, there: Tree) -> None:
    root = tmp_path / "root"
    _push(tmp_path, there, _header("f", "x", b"1"))
    _push(tmp_path, there, _header("x", "x"), _header("f", "x/y", b"2"))
    assert (root / "x/y").read_bytes() == b"2"
    _push(tmp_path, there, _header("x", "x/y"), _header("f", "x", b"3"))
    assert (root / "x").read_bytes() == b"3"
    _push(tmp_path, there, _header("x", "x"), _header("d", "x"))
    assert (root / "x").is_dir()


def test_what_was_made_there_is_not_deleted(tmp_path: Path, there: Tree) -> None:
    root = tmp_path / "root"
    _push(tmp_path, there, _header("f", "d/a", b"1"))
    (root / "d/result").write_text("mine")
    _push(tmp_path, there, _header("x", "d/a"))
    assert [item.name for item in (root / "d").iterdir()] == ["result"]


def test_what_was_made_or_changed_there_is_kept_aside(tmp_path: Path, there: Tree) -> None:
    root = tmp_path / "root"
    _push(tmp_path, there, _header("f", "code.py", b"old"))
    (root / "code.py").write_text("edited over there")
    (root / "new.py").write_text("made over there")
    (root / "same.py").write_text("same")
    assert there.changed() == ["code.py"]
    _push(
        tmp_path, there, _header("f", "code.py", b"new"), _header("f", "new.py", b"x"), _header("f", "same.py", b"same")
    )
    assert there.displaced == ["code.py", "new.py"]
    assert (tmp_path / "kept/code.py").read_text() == "edited over there"
    assert (tmp_path / "kept/new.py").read_text() == "made over there"
    assert (root / "code.py").read_text() == "new"


def test_a_folder_with_files_of_its_own_stops_the_batch(tmp_path: Path, there: Tree) -> None:
    root = tmp_path / "root"
    _push(tmp_path, there, _header("f", "keep", b"1"))
    (root / "out").mkdir()
    (root / "out/result").write_text("mine")
    with pytest.raises(ApplyError, match="out is a folder here"):
        _push(tmp_path, there, _header("x", "keep"), _header("f", "out", b"2"))
    assert (root / "keep").read_text() == "1"
    with pytest.raises(ApplyError, match="both a file and a folder"):
        _push(tmp_path, there, _header("f", "p", b""), _header("f", "p/q", b""))


def test_nothing_is_written_through_a_link(tmp_path: Path, there: Tree) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    outside.mkdir()
    _push(tmp_path, there, _header("f", "d/a", b"1"))
    (root / "d/a").unlink()
    (root / "d").rmdir()
    (root / "d").symlink_to(outside)
    (outside / "a").write_text("theirs")
    _push(tmp_path, there, _header("x", "d/a"))
    assert (outside / "a").read_text() == "theirs"
    _push(tmp_path, there, _header("f", "d/a", b"2"))
    assert (outside / "a").read_text() == "theirs"
    assert (root / "d/a").read_bytes() == b"2"
    assert not (root / "d").is_symlink()


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x", "a//b"])
def test_paths_that_leave_the_tree_end_the_stream(tmp_path: Path, path: str) -> None:
    with pytest.raises(tree.UnsafePathError):
        _staged(tmp_path, _header("f", path, b"x"))


@pytest.mark.parametrize("data", [b"\xff\xff", zlib.compress(b"?" * 30)])
def test_damaged_streams(tmp_path: Path, data: bytes) -> None:
    staging = Staging(str(tmp_path / "stage"))
    with pytest.raises(protocol.ProtocolError):
        records.Reader(staging).feed(data)
    staging.close()


def test_a_path_that_no_file_system_takes() -> None:
    with pytest.raises(protocol.ProtocolError, match="too long"):
        records.pack(records.Header("f", "x" * 70_000, 0, 0, 0))


def test_a_record_that_stops_half_way_is_not_complete(tmp_path: Path) -> None:
    staging = Staging(str(tmp_path / "stage"))
    reader = records.Reader(staging)
    reader.feed(zlib.compress(_header("f", "a", b"12345")[:-2]))
    assert not reader.complete
    staging.close()
    assert not (tmp_path / "stage").exists()


def test_a_copy_is_another_tree(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "d").mkdir(parents=True)
    (source / "d/f").write_text("1")
    (source / "d/f").chmod(0o751)
    (source / "link").symlink_to("d/f")
    os.mkfifo(source / "pipe")
    copy_tree(str(source), str(tmp_path / "copy"), skip=["nothing"])
    (source / "d/f").write_text("2")
    assert (tmp_path / "copy/d/f").read_text() == "1"
    assert (tmp_path / "copy/d/f").stat().st_mode & 0o777 == 0o751
    assert os.readlink(tmp_path / "copy/link") == "d/f"
    assert not (tmp_path / "copy/pipe").exists()
