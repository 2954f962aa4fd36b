"""Turns what was seen of a run into its record."""

from __future__ import annotations

import os
from time import monotonic

from dsenv.agent import runid
from dsenv.agent.capture.codetree import is_secret_file
from dsenv.agent.digests import sha256
from dsenv.agent.light import TYPE_CHECKING, NamedTuple, cast
from dsenv.agent.redact import Redactor
from dsenv.agent.store.base import StoreWriteError, Writer, digest_of

if TYPE_CHECKING:
    from typing import Any, Dict, Iterable, List, Mapping, Optional, Set, Tuple

    from dsenv.agent.schema import Draw, Failure, Input, Record, Started, Summary

    Name = Tuple[Any, ...]

_SUMMARY = ("id", "status", "exit", "signal", "started", "ended", "command", "project", "task", "kind", "signature")
_BLOCK = 1 << 20
_PATIENCE = 2.0  # seconds for the digests of what was too large to copy: the command's end waits for them


def key(run_id: str, name: str) -> str:
    """The key of a file of a record."""
    return "runs/{}/{}/{}".format(runid.day(run_id), run_id, name)


def index_key(run_id: str, status: str) -> str:
    """The key of a run's index entry."""
    return "index/{}/{}/{}.json".format(runid.day(run_id), status, run_id)


def summary(values: Any) -> Summary:
    """The index entry for a started or finished run."""
    found = {name: values.get(name) for name in _SUMMARY}
    return cast("Summary", dict(found, status=values.get("status", "running")))


class Told(NamedTuple):
    """What the command's processes said."""

    pythons: List[Dict[str, Any]]
    failures: List[Failure]
    inputs: List[Dict[str, Any]]
    trouble: List[str]
    draws: List[Draw]
    numeric: List[Dict[str, Any]]


def gather(events: Iterable[Dict[str, Any]]) -> Told:
    """Sort the events of all processes; a file that the command wrote itself is no input when it is read later."""
    told = Told([], [], [], [], [], [])
    written: Set[str] = set()
    for event in events:
        kind = event.get("e")
        if kind == "python":
            told.pythons.append(event)
        elif kind == "failure" and isinstance(event.get("failure"), dict):
            told.failures.append(cast("Failure", event["failure"]))
        elif kind == "written":
            written.add(str(event.get("path")))
        elif kind == "input" and event.get("path") not in written:
            told.inputs.append(event)
        elif kind == "draw":
            told.draws.append(cast("Draw", {name: event.get(name) for name in ("process", "source", "n", "value")}))
        elif kind == "numeric":
            told.numeric.append({name: value for name, value in event.items() if name != "e"})
        elif kind == "trouble":
            told.trouble.append(str(event.get("text")))
    return told


def name_of(event: Mapping[str, Any]) -> Name:
    """What tells an input from all others."""
    return event.get("path"), event.get("when"), event.get("pid"), event.get("copy")


def store_inputs(
    found: List[Dict[str, Any]], copies: str, writer: Writer, kept: Optional[Mapping[Name, Input]] = None
) -> Tuple[List[Input], List[str]]:
    """Move the copies into the store, but for those that are `kept`, by name, already.

    Returns the lines of inputs.jsonl, and what went wrong.
    """
    lines: List[Input] = []
    trouble: List[str] = []
    until = monotonic() + _PATIENCE
    for event in found:
        known = kept.get(name_of(event)) if kept else None
        if known is not None:
            lines.append(known)
            continue
        item = cast("Input", {name: value for name, value in event.items() if name not in ("e", "copy", "answer_copy")})
        try:
            _keep(item, event.get("copy"), copies, writer, until)
            answer = event.get("answer_copy")
            if answer and os.sep not in answer:
                path = os.path.join(copies, answer)
                item["answer"], _ = digest_of(path)
                writer.blob_file(path, item["answer"])
        except (OSError, StoreWriteError) as error:
            item["note"] = "could not be kept"
            if not trouble:
                trouble.append("inputs are not complete: {}".format(error))
        lines.append(item)
    return lines, trouble


def _keep(item: Input, copy: Optional[str], copies: str, writer: Writer, until: float) -> None:
    """Put one copy into the store and its digest into `item`."""
    if item.get("missing") or "size" not in item:
        return
    if is_secret_file(os.path.basename(item["path"])):
        item["note"] = "not kept: its name says that it holds secrets"
    elif copy and os.sep not in copy:
        path = os.path.join(copies, copy)
        expected = item["size"]
        digest, item["size"] = digest_of(path)
        writer.blob_file(path, digest)
        if item.get("call") and item["size"] < expected:
            item["note"] = "only the first {} of {} bytes were read, or kept".format(item["size"], expected)
        item["sha256"] = item["blob"] = digest
    elif item["size"] == 0:
        item["sha256"] = item["blob"] = writer.blob(b"")
    else:
        _digest_unchanged(item, until)


def _digest_unchanged(item: Input, until: float) -> None:
    """The digest of a file that was too large to copy, if it is still what was read, and can be had in time."""
    try:
        with open(item["path"], "rb") as source:
            info = os.fstat(source.fileno())
            if info.st_mtime_ns != item.get("mtime_ns") or info.st_size != item.get("size"):
                return
            digest = sha256(size=info.st_size)
            for block in iter(lambda: source.read(_BLOCK), b""):
                digest.update(block)
                if monotonic() > until:
                    item["note"] = "{}; its digest would have taken too long".format(item.get("note", "not kept"))
                    return
    except OSError:
        return  # it is gone, or no file of this machine
    item["sha256"] = digest.hexdigest()


def redact(failures: List[Failure], redactor: Redactor) -> None:
    """Hide secrets in what processes said, in place."""
    for failure in failures:
        redactor.failure(failure)


def complete(started: Started, values: Dict[str, Any]) -> Record:
    """record.json: what was known at the start, and how it ended."""
    return cast("Record", dict(cast("Dict[str, Any]", started), **values))
