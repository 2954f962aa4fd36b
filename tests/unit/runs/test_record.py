"""Reading records: whole ones, damaged ones, and ones that were made to harm."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dsenv.errors import DsenvError, RecordError, StoreError, UnknownRunError, UsageError
from dsenv.runs import index, keys, restore
from dsenv.runs.record import Record
from dsenv.runs.store import open_store
from dsenv.testing.records import RUN_ID, RecordBuilder


@pytest.fixture
def builder(tmp_path: Path) -> RecordBuilder:
    (tmp_path / "store").mkdir()
    return RecordBuilder(tmp_path / "store")


def opened(builder: RecordBuilder) -> Record:
    return Record(open_store(str(builder.store)), builder.id)


def test_a_whole_record_is_read(builder: RecordBuilder) -> None:
    builder.inputs.append({"path": "/data/x.csv", "size": 3, "blob": builder.blob(b"a,b")})
    builder.write()
    record = opened(builder)
    assert (record.status, record.complete) == ("failed", True)
    assert next((c.stream, c.data) for c in record.output()) == ("stdout", b"reading\n")
    assert record.frames()["failures"][0]["exceptions"][0]["type"] == "ValueError"
    assert record.blob(record.inputs()[0]["blob"]) == b"a,b"
    assert restore.verify(record) == len(b"rows = []\nraise ValueError('bad row 7')\n") + 3


def test_the_code_tree_comes_back(builder: RecordBuilder, tmp_path: Path) -> None:
    files = {"a.py": b"1", "pkg/b.py": b"2", "pkg/same.py": b"1", "odd name\n.txt": b""}
    builder.code(files, links={"pkg/up": "../a.py", "out": "/etc/passwd", "up": "../x"})
    builder.write()
    left_out = restore.code(opened(builder), tmp_path / "tree")
    assert left_out == ["out", "up"]
    assert {name: (tmp_path / "tree" / name).read_bytes() for name in files} == files
    assert os.readlink(tmp_path / "tree/pkg/up") == "../a.py"
    assert not (tmp_path / "tree/out").exists()


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "", ".", "a//b", "a/./b", "x\0y"])
def test_no_path_escapes(builder: RecordBuilder, tmp_path: Path, name: str) -> None:
    builder.code({name: b"owned"})
    builder.write()
    with pytest.raises(RecordError):
        restore.code(opened(builder), tmp_path / "tree")
    with pytest.raises(RecordError):
        restore.verify(opened(builder))
    assert not (tmp_path / "x").exists()


def test_a_file_is_never_written_through_a_link(builder: RecordBuilder, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    builder.code({"d/evil": b"owned"}, links={"d": str(outside)})
    builder.write()
    restore.code(opened(builder), tmp_path / "tree")
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("victim", ["record.json", "started.json", "frames.json", "inputs.jsonl"])
@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b"null", b'{"format": 1}', b"\xff\xfe", b'{"format": "1", "id": 3}']
)
def test_damaged_files_are_clear_errors(builder: RecordBuilder, victim: str, damage: bytes) -> None:
    builder.inputs.append({"path": "/data/x.csv"})
    (builder.write() / victim).write_bytes(damage)
    if victim == "inputs.jsonl" and not damage:
        assert opened(builder).inputs() == []  # nothing was read
        return
    if victim == "started.json" and damage == b'{"format": 1}':
        assert opened(builder).status == "failed"  # started.json may hold little; record.json has it all
        return
    with pytest.raises(RecordError) as caught:
        record = opened(builder)
        record.frames()
        record.inputs()
    assert caught.value.message


def test_a_newer_format_says_upgrade(builder: RecordBuilder) -> None:
    builder.record["format"] = 99
    builder.write()
    with pytest.raises(RecordError, match="has format 99") as caught:
        opened(builder)
    assert caught.value.hint == "upgrade dsenv"


def test_a_record_that_is_another_runs(builder: RecordBuilder) -> None:
    folder = builder.write()
    (folder / "record.json").write_text(json.dumps(builder.record | {"id": "20260301T101500-000002-abcd"}))
    with pytest.raises(RecordError, match="says that it is"):
        opened(builder)


def test_changed_blobs_are_caught(builder: RecordBuilder, tmp_path: Path) -> None:
    digest = builder.blob(b"original")
    builder.inputs.append({"path": "/data/x", "blob": digest, "size": 8})
    builder.write()
    (builder.store / keys.blob(digest)).write_bytes(b"changed!")
    record = opened(builder)
    for use in (lambda: record.blob(digest), lambda: restore.verify(record)):
        with pytest.raises(RecordError, match="was changed"):
            use()
    with pytest.raises(RecordError, match="was changed"):
        record.blob_to(digest, tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_a_missing_blob_is_named(builder: RecordBuilder) -> None:
    builder.inputs.append({"path": "/data/x", "blob": "0" * 64})
    builder.write()
    with pytest.raises(RecordError, match="lacks the blob 000"):
        restore.verify(opened(builder))


def test_a_digest_is_not_a_path(builder: RecordBuilder) -> None:
    builder.inputs.append({"path": "/data/x", "blob": "../../../../etc/passwd"})
    builder.write()
    with pytest.raises(RecordError, match="not a SHA-256"):
        restore.verify(opened(builder))


def test_cut_output_ends_at_the_cut(builder: RecordBuilder) -> None:
    folder = builder.write()
    whole = (folder / "output").read_bytes()
    (folder / "output").write_bytes(whole[:-5])
    assert b"".join(c.data for c in opened(builder).output()).endswith(b"ValueError: bad r")
    (folder / "output").write_bytes(b"\x07" + whole[1:])
    with pytest.raises(RecordError, match=r"output of .* is damaged"):
        list(opened(builder).output())


def test_output_in_parts_is_joined(builder: RecordBuilder) -> None:
    folder = builder.write()
    whole = (folder / "output").read_bytes()
    (folder / "output").unlink()
    cut = len(whole) - 40
    (folder / "output.000000").write_bytes(whole[:21])
    (folder / "output.000001").write_bytes(whole[21:])
    assert cut > 0
    assert b"".join(c.data for c in opened(builder).output()).startswith(b"reading\nTraceback")


def test_a_pack_bomb_is_refused(builder: RecordBuilder, tmp_path: Path) -> None:
    from dsenv.agent import schema

    bomb = schema.PACK_HEADER.pack(b"\0" * 32, 1 << 50)
    import gzip

    tree = {"format": 1, "files": [], "links": [], "folders": [], "packs": [builder.blob(gzip.compress(bomb))]}
    builder.record["code"]["tree"] = builder.blob(json.dumps(tree).encode())
    builder.write()
    with pytest.raises(RecordError, match="holds a file of"):
        restore.code(opened(builder), tmp_path / "tree")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.just("../../x"),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=8,
    ),
    field=st.sampled_from(
        ["command", "code", "env", "signature", "environment", "stdin", "redactions", "status", "exit"]
    ),
)
def test_any_value_in_any_field_is_read_or_refused(
    builder: RecordBuilder, value: Any, field: str, tmp_path: Path
) -> None:
    builder.record[field] = value
    builder.write()
    try:
        record = opened(builder)
        restore.verify(record)
        record.summary()
    except DsenvError:
        pass
    assert {p.name for p in tmp_path.iterdir()} == {"store"}


def test_links_in_a_store_are_not_followed(builder: RecordBuilder, tmp_path: Path) -> None:
    folder = builder.write()
    (tmp_path / "secret").write_text("{}")
    (folder / "frames.json").unlink()
    (folder / "frames.json").symlink_to(tmp_path / "secret")
    assert opened(builder).frames()["failures"] == []


# Finding runs.


def test_runs_are_listed_newest_first_and_failed_ones_alone(tmp_path: Path) -> None:
    store = tmp_path / "store"
    for number, (day, status) in enumerate(
        [("01", "failed"), ("02", "succeeded"), ("02", "failed"), ("03", "running")]
    ):
        made = RecordBuilder(store, f"202603{day}T101500-{number:06}-abcd")
        made.status = made.record["status"] = status
        made.write()
    found = list(index.newest(open_store(str(store))))
    assert [run.id[:8] for run in found] == ["20260303", "20260302", "20260302", "20260301"]
    assert [run.status for run in found] == ["running", "failed", "succeeded", "failed"]
    failed = list(index.newest(open_store(str(store)), statuses=("failed",)))
    assert [run.id[:8] for run in failed] == ["20260302", "20260301"]
    assert index.find(open_store(str(store)), "last") == found[0].id
    assert index.find(open_store(str(store)), "last-failed") == found[1].id
    assert index.find(open_store(str(store)), "000001") == found[2].id


def test_a_run_without_a_heartbeat_is_lost(builder: RecordBuilder) -> None:
    builder.status = "running"
    folder = builder.write()
    store = open_store(str(builder.store))
    assert [run.status for run in index.newest(store)] == ["running"]
    (folder / "heartbeat").write_text("1000")
    (run,) = index.newest(store)
    assert (run.status, run.failed) == ("lost", True)
    assert opened(builder).status == "lost"


def test_a_finished_run_still_in_the_running_index(builder: RecordBuilder) -> None:
    builder.write()
    failed = builder.store / keys.index("2026/03/01", "failed", RUN_ID)
    running = builder.store / keys.index("2026/03/01", "running", RUN_ID)
    running.parent.mkdir(parents=True)
    failed.rename(running)
    assert [(r.id, r.status) for r in index.newest(open_store(str(builder.store)))] == [(RUN_ID, "failed")]


def test_one_damaged_entry_does_not_hide_the_others(builder: RecordBuilder) -> None:
    builder.write()
    (builder.store / keys.index("2026/03/01", "failed", "20260301T101500-000009-abcd")).write_text("{")
    assert [r.id for r in index.newest(open_store(str(builder.store)))] == [RUN_ID]


@pytest.mark.parametrize("text", ["20260301T101500-000009-abcd", "zzzz", "x"])
def test_unknown_runs(builder: RecordBuilder, text: str) -> None:
    builder.write()
    with pytest.raises(UnknownRunError, match="has no run") as caught:
        index.find(open_store(str(builder.store)), text)
    assert "dsenv runs" in (caught.value.hint or "")


def test_an_ambiguous_id_lists_the_choices(tmp_path: Path) -> None:
    for number in (1, 2):
        RecordBuilder(tmp_path / "s", f"20260301T101500-00000{number}-abcd").write()
    with pytest.raises(UnknownRunError, match="part of 2 run ids") as caught:
        index.find(open_store(str(tmp_path / "s")), "20260301")
    assert "000002-abcd" in (caught.value.detail or "")


def test_stores_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no store at"):
        open_store(str(tmp_path / "absent"))
    with pytest.raises(UsageError, match="no store of the kind gs"):
        open_store("gs://bucket")
    with pytest.raises(UsageError, match="not the address of a bucket"):
        open_store("s3://")


def test_the_default_store_may_be_empty() -> None:
    from dsenv.config import paths

    assert list(index.newest(open_store(str(paths.default_store())))) == []


@pytest.mark.parametrize(
    ("url", "kind", "expected"),
    [
        ("{folder}/file", StoreError, "is a file"),
        ("{folder}/file/below", StoreError, "there is no store"),
        ("{folder}/loop", StoreError, "cannot read"),
        ("~no-such-user-here/x", UsageError, "is not a folder"),
        ("{folder}/a\0b", UsageError, "is not a folder"),
    ],
)
def test_addresses_that_are_no_store(tmp_path: Path, url: str, kind: type[DsenvError], expected: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(kind, match=expected):
        open_store(url.replace("{folder}", str(tmp_path)))


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="permissions do not stop root")
@pytest.mark.parametrize("closed", ["", "index", "runs", "blobs"])
def test_a_closed_folder_of_a_store_is_said(builder: RecordBuilder, closed: str) -> None:
    builder.inputs.append({"path": "/data/x.csv", "size": 3, "blob": builder.blob(b"a,b")})
    builder.write()
    folder = builder.store / closed
    folder.chmod(0o000)
    try:
        with pytest.raises(StoreError, match="cannot read"):
            list(index.newest(open_store(str(builder.store))))
            restore.verify(opened(builder))
    finally:
        folder.chmod(0o700)
