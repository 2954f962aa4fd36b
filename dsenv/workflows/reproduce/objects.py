"""Objects that the recorded run read from S3: served from the record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dsenv.agent import schema
from dsenv.runs.record import Record
from dsenv.workflows.reproduce.model import Item


def _calls(record: Record) -> list[schema.Input]:
    return [item for item in record.inputs() if item.get("how") == "botocore" and "call" in item]


def account(inputs: list[schema.Input]) -> tuple[list[Item], list[Item]]:
    """What is said of objects: brought back, and not brought back."""
    restored, lost = [], []
    seen: set[str] = set()
    for item in inputs:
        path = item["path"]
        if "://" not in path or path in seen:
            continue
        seen.add(path)
        if item.get("answer"):
            restored.append(Item("object", path, item.get("note", "answered as it was then, without network")))
        else:
            lost.append(Item("object", path, item.get("note", "its content was not kept")))
    if any(item.get("how") == "botocore" for item in inputs):
        lost.append(Item("object", "AWS", "calls that were not recorded fail as if there were no network"))
    return restored, lost


def unanswered(again: Record) -> list[Item]:
    """The calls of a reproduction that the record has no answer to; see `dsenv.agent.replay.objects`."""
    told = [text for text in again.data.get("trouble", []) if " was not recorded: it failed as if " in text]
    return [Item("object", text.split(" ", 1)[0], text) for text in dict.fromkeys(told)]


def write(record: Record, folder: Path) -> dict[str, Any]:
    """Put answers and contents into `folder`; returns what the replay is told of them."""
    calls = _calls(record)
    place = folder / "objects"
    if calls:
        place.mkdir()
    found: dict[str, list[list[str]]] = {}
    for item in calls:
        if item.get("answer"):
            files = [_file(record, place, digest) for digest in (item["answer"], item.get("blob", ""))]
            found.setdefault(item["call"], []).append(files)
    return {"objects": found}


def _file(record: Record, place: Path, digest: str) -> str:
    if not digest:
        return ""
    file = place / digest
    if not file.exists():
        record.blob_to(digest, file)
    return str(file)
