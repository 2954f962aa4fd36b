"""What becomes of the inputs that processes told of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dsenv.agent.capture import record
from dsenv.agent.schema import Input
from dsenv.agent.store.folder import FolderWriter


def _stored(folder: Path, *events: dict[str, Any]) -> list[Input]:
    told = record.gather({"e": "input", "pid": 1, "when": 1, **event} for event in events)
    lines, trouble = record.store_inputs(told.inputs, str(folder / "copies"), FolderWriter(str(folder / "store")))
    assert trouble == []
    return lines


def _copy(folder: Path, name: str, data: bytes) -> str:
    (folder / "copies").mkdir(exist_ok=True)
    (folder / "copies" / name).write_bytes(data)
    return name


def test_an_answer_is_kept_beside_the_content(tmp_path: Path) -> None:
    answer = json.dumps({"ETag": "x"}).encode()
    (item,) = _stored(
        tmp_path,
        {"path": "s3://b/k", "how": "botocore", "call": "GetObject {}", "size": 8,
         "copy": _copy(tmp_path, "1", b"half"), "answer_copy": _copy(tmp_path, "2", answer)},
    )  # fmt: skip
    assert item["size"] == 4 and item["note"] == "only the first 4 of 8 bytes were read, or kept"
    blob = tmp_path / "store/blobs/sha256" / item["answer"][:2] / item["answer"]
    assert blob.read_bytes() == answer
    assert not set(item) & {"e", "copy", "answer_copy"}


def test_files_of_secrets_are_named_and_not_kept(tmp_path: Path) -> None:
    items = _stored(
        tmp_path,
        *(
            {"path": f"/home/x/{name}", "how": "open", "size": 3, "copy": _copy(tmp_path, str(n), b"key")}
            for n, name in enumerate((".env", ".aws/credentials", "id_ed25519", "server.pem", "rows.csv"))
        ),
    )
    assert ["blob" in item for item in items] == [False, False, False, False, True]
    assert all("secrets" in item["note"] and "sha256" not in item for item in items[:4])


def test_a_copy_never_lies_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("x")
    (item,) = _stored(tmp_path, {"path": "/a", "size": 1, "copy": "../other", "answer_copy": "../other", "mtime_ns": 0})
    assert "blob" not in item and "answer" not in item


def test_listings_and_draws_are_told_apart(tmp_path: Path) -> None:
    told = record.gather(
        [
            {"e": "draw", "process": "0", "source": "numpy", "n": 0, "value": "00", "more": 1},
            {"e": "reading", "path": "/a"},
            {"e": "input", "path": "/d", "how": "listed", "entries": ["a"]},
        ]
    )
    assert told.draws == [{"process": "0", "source": "numpy", "n": 0, "value": "00"}]
    assert _stored(tmp_path, *told.inputs)[0]["entries"] == ["a"]
