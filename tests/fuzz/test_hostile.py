"""Records that were made to harm: bombs, paths, links, devices, counts, terminal codes."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import os
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from dsenv.agent import schema
from dsenv.cli.main import main
from dsenv.errors import DsenvError, RecordError
from dsenv.events import Cancel
from dsenv.runs import restore
from dsenv.runs.record import Record
from dsenv.runs.store.folder import FolderStore
from dsenv.testing.records import RecordBuilder
from dsenv.workflows import reproduce as workflow
from dsenv.workflows.reproduce.scratch import Scratch
from dsenv.workflows.show import details

MEGABYTE = 1 << 20


@pytest.fixture
def builder(tmp_path: Path) -> RecordBuilder:
    (tmp_path / "store").mkdir()
    return RecordBuilder(tmp_path / "store")


def tree_of(builder: RecordBuilder, **changes: object) -> None:
    tree = {"format": 1, "files": [], "links": [], "folders": [], "packs": []} | changes
    builder.record["code"]["tree"] = builder.blob(json.dumps(tree).encode())


def _deep_json(builder: RecordBuilder) -> None:
    (builder.write() / "frames.json").write_bytes(b'{"format":1,"primary":null,"failures":' + b"[" * 200_000)


def _many_values(builder: RecordBuilder) -> None:
    (builder.write() / "frames.json").write_bytes(b'{"a":[' + b"[]," * 8_000_000 + b"[]]}")


def _many_lines(builder: RecordBuilder) -> None:
    (builder.write() / "inputs.jsonl").write_bytes(b"{}\n" * 1_100_000)


def _huge_chunk(builder: RecordBuilder) -> None:
    (builder.write() / "output").write_bytes(schema.OUTPUT_HEADER.pack(1, 0, (1 << 32) - 1) + b"x")


def _zeros(builder: RecordBuilder) -> None:
    """A few kilobytes that are gigabytes when they are unpacked."""
    zeros = bytes(32 * MEGABYTE)
    entry = schema.PACK_HEADER.pack(hashlib.sha256(zeros).digest(), len(zeros)) + zeros
    pack = gzip.compress(entry, 9) * 40
    files = [{"path": "a", "mode": 420, "size": len(zeros), "sha256": hashlib.sha256(zeros).hexdigest()}]
    tree_of(builder, files=files, packs=[builder.blob(pack)])
    builder.write()


def _one_content_with_many_names(builder: RecordBuilder) -> None:
    data = bytes(4 * MEGABYTE)
    digest = hashlib.sha256(data).hexdigest()
    files = [{"path": f"f{n}", "mode": 420, "size": len(data), "sha256": digest} for n in range(10_000)]
    tree_of(builder, files=files, packs=[builder.pack([data])])
    builder.write()


def _small_claims(builder: RecordBuilder) -> None:
    """As above, but it says that they are small."""
    data = bytes(4 * MEGABYTE)
    digest = hashlib.sha256(data).hexdigest()
    files = [{"path": f"f{n}", "mode": 420, "size": 1, "sha256": digest} for n in range(10_000)]
    tree_of(builder, files=files, packs=[builder.pack([data])])
    builder.write()


def _negative_sizes(builder: RecordBuilder) -> None:
    tree_of(builder, files=[{"path": "a", "mode": 420, "size": -(1 << 60), "sha256": "0" * 64}])
    builder.write()


def _future(builder: RecordBuilder) -> None:
    builder.record["format"] = 2
    builder.write()


HARMS = (
    *(_deep_json, _many_values, _many_lines, _huge_chunk, _one_content_with_many_names, _small_claims),
    *(_negative_sizes, _future, pytest.param(_zeros, marks=pytest.mark.slow)),
)


@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.__name__.strip("_"))
def test_what_would_fill_the_machine_is_refused_at_once(
    builder: RecordBuilder, harm: Callable[[RecordBuilder], None], tmp_path: Path
) -> None:
    harm(builder)
    tracemalloc.start()
    begun = time.monotonic()
    with pytest.raises(RecordError) as caught:
        record = Record(FolderStore(builder.store), builder.id)
        details(record)
        restore.verify(record)
        restore.code(record, tmp_path / "tree")
    seconds, (_, peak) = time.monotonic() - begun, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert caught.value.hint
    assert peak < 400 * MEGABYTE
    assert seconds < 30
    written = sum(file.stat().st_size for file in (tmp_path / "tree").rglob("*") if file.is_file())
    assert written < 200 * MEGABYTE


@pytest.mark.parametrize(
    "name", ["started.json", "record.json", "frames.json", "inputs.jsonl", "output", "blackbox.jsonl"]
)
@pytest.mark.parametrize("kind", ["fifo", "socket", "device", "link", "loop", "folder"])
def test_what_is_no_file_is_never_waited_for(builder: RecordBuilder, name: str, kind: str, tmp_path: Path) -> None:
    place = builder.write() / name
    place.unlink(missing_ok=True)
    (tmp_path / "secret").write_text("{}")
    if kind == "fifo":
        os.mkfifo(place)
    elif kind == "socket":
        os.mknod(place, 0o140600)
    elif kind == "device" and os.geteuid() == 0:
        os.mknod(place, 0o020600, os.makedev(1, 5))  # /dev/zero
    elif kind == "folder":
        place.mkdir()
    else:
        place.symlink_to(place if kind == "loop" else tmp_path / "secret")
    with contextlib.suppress(DsenvError):
        details(Record(FolderStore(builder.store), builder.id))
    assert (tmp_path / "secret").read_text() == "{}"


@pytest.mark.parametrize("path", ["/etc/passwd", "/proc/self/mem", "/root/.ssh/authorized_keys", "/dev/sda", "/"])
def test_inputs_are_put_into_the_scratch_folder_only(builder: RecordBuilder, path: str) -> None:
    digest = builder.blob(b"owned")
    builder.inputs = [{"path": path, "blob": digest, "size": 5}, {"path": f"{path}/../../x", "blob": digest, "size": 5}]
    builder.write()
    before = Path(path).stat().st_mtime_ns if Path(path).exists() else None
    record = Record(FolderStore(builder.store), builder.id)
    with contextlib.suppress(RecordError):
        scratch = Scratch(workflow.plan(record, workflow.Options(isolation="redirect")), record)
        try:
            scratch.fill(Cancel())
        finally:
            scratch.remove()
    assert (Path(path).stat().st_mtime_ns if Path(path).exists() else None) == before


@pytest.mark.parametrize("root", ["relative", "/a/../b", "", "/x\0y", "//"])
def test_folders_that_cannot_have_been_are_refused(builder: RecordBuilder, root: str) -> None:
    builder.record["code"]["root"] = root
    builder.write()
    with pytest.raises(RecordError):
        workflow.plan(Record(FolderStore(builder.store), builder.id))


def test_a_terminal_is_not_taken_over(builder: RecordBuilder, capsys: pytest.CaptureFixture[str]) -> None:
    """Text of a record cannot move the cursor, set the title or paste into the shell of who looks at it."""
    evil = "\x1b]0;owned\x07\x1b[2J\x1b[31m\x9b5n\x90q\x1b\\ \u202e"
    error = builder.frames["failures"][0]["exceptions"][0]
    error.update(type=f"E{evil}", message=evil, notes=[evil])
    for frame in error["frames"]:
        frame.update(file=f"/srv/{evil}", function=evil, source=[evil] * 3)
        frame["locals"] = [{"name": evil, "type": evil, "preview": evil, "columns": [{"name": evil, "dtype": evil}]}]
    builder.record.update(
        command=["x", evil],
        project=evil,
        trouble=[evil],
        signature={**builder.record["signature"], "message": evil, "type": evil},
    )
    builder.chunks = [(1, evil.encode("utf-8", "surrogatepass"))]
    builder.write()
    store = str(builder.store)
    for words in (["runs"], ["show", "last"], ["reproduce", "last", "--dry-run", "--no-tui"]):
        main([*words, "--store", store])
        captured = capsys.readouterr()
        for text in (captured.out, captured.err):
            assert not any(sign in text for sign in ("\x1b", "\x07", "\x9b", "\x90", "\u202e")), words
