"""What the debugger is told of production, and why it stopped nowhere."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from dsenv.agent import schema
from dsenv.runs.record import Record

_STOPPED = "stopped"


def write(record: Record, folder: Path) -> dict[str, Any]:
    """Put production's frames and arrays into `folder`; returns what `agent.replay.debugger` is told of them."""
    frames = record.frames()
    primary, failures = frames["primary"], frames["failures"]
    failure: schema.Failure = failures[primary] if primary is not None and 0 <= primary < len(failures) else {}
    exceptions = [error.get("frames", []) for error in failure.get("exceptions", [])]
    blobs: dict[str, str] = {}
    for digest in {local["blob"] for found in exceptions for frame in found for local in _with_blob(frame)}:
        file = folder / f"array-{digest}.npy"
        record.blob_to(digest, file)
        blobs[digest] = str(file)
    root = record.data["code"]["root"] if record.data.get("code") else record.data.get("cwd", "/")
    told = {"root": root, "how": failure.get("how", ""), "exceptions": exceptions, "blobs": blobs}
    file = folder / "production.json"
    file.write_text(json.dumps(told))
    return {"production": str(file), "stopped": str(folder / _STOPPED)}


def _terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR))
    except OSError:
        return False
    return True


def _with_blob(frame: schema.FrameDetail) -> list[schema.Local]:
    return [local for local in frame.get("locals", []) if local.get("blob")]


def stopped(folder: Path) -> bool:
    """Whether the debugger was opened in a run of this scratch folder."""
    return (folder / _STOPPED).is_file()


def why_not(observed: schema.Signature | None) -> str:
    """Why nothing stopped in a frame."""
    if observed is None:
        return "it passes here, so there is no frame to stop in"
    if observed["kind"] == "exception":
        if not _terminal():
            return "pdb needs a terminal, and there is none"
        return "the process that failed ended before pdb could stop in it"
    if observed["kind"] == "signal":
        return f"a process that dies by {observed['signal']} leaves no frame that pdb could stop in"
    return f"it ends with exit code {observed['exit']} and no exception, so there is no frame to stop in"
