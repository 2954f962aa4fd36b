"""What a run that was lost speaks for: no record says how it ended, but its black box and its heartbeat are there.

Whatever is concluded here is presumed, and marked so.
"""

from __future__ import annotations

import io
from typing import Any, cast

from dsenv.agent import moments, schema, signature
from dsenv.agent.capture import oom
from dsenv.runs import keys, validate
from dsenv.runs.store import Store

UNKNOWN = "lost"  # the cause where nothing is known
_LIMIT = 64 << 20
_TAIL = 1 << 20
_LINES = 1000
# Capture beats every five seconds: one that outlived a moment by more did not end then, unless memory was nearly full.
_SOON = 12_000_000
_NEARLY_FULL = 0.95


def black_box(store: Store, run_id: str, *, end_only: bool = False) -> list[schema.BlackBox]:
    """The entries of a run's black box, checked; with `end_only` the last of them. Raises RecordError."""
    key = keys.record(run_id, "blackbox.jsonl")
    data = (_end(store, key) if end_only else None) or store.read(key, limit=_LIMIT) or b""
    lines = [line for line in data.split(b"\n") if line][-_LINES:]
    return [validate.parse(line, schema.BlackBox, f"{store.url}/{key}:{n}") for n, line in enumerate(lines, 1)]


def _end(store: Store, key: str) -> bytes | None:
    """The last whole lines of a large file that can be sought."""
    size = store.size(key)
    if size is None or size <= _TAIL:
        return None
    stream = store.open(key)
    if stream is None:
        return None
    with stream:
        if not stream.seekable():
            return None
        stream.seek(-_TAIL, io.SEEK_END)
        return stream.read(_TAIL).partition(b"\n")[2] or None


def presume(store: Store, data: schema.Started) -> tuple[schema.Signature, schema.Frames]:
    """How a lost run ended, as far as its last moments tell, and where it was then. Raises RecordError."""
    entries = black_box(store, data["id"])
    name, cause = _ending(entries, _beat(store, data["id"]), data.get("kill_after"))
    failures: list[schema.Failure] = []
    if entries and cause != UNKNOWN:
        why = entries[-1].get("why")
        for entry in moments.last_of_each([entry for entry in entries if entry.get("why") == why]):
            failures = moments.of_entry(entry)
    frames = signature.frames_of(failures, 0 if failures else None)
    code = data.get("code")
    root = code["root"] if code else data.get("cwd", "")
    return _presumed(frames, root, name, cause), frames


def presume_briefly(store: Store, run_id: str) -> schema.Signature:
    """The same without the place, from the end of the black box alone. Raises RecordError."""
    name, cause = _ending(black_box(store, run_id, end_only=True), _beat(store, run_id), None)
    return _presumed(signature.frames_of([], None), "", name, cause)


def _presumed(frames: schema.Frames, root: str, name: str, cause: str | None) -> schema.Signature:
    found = cast(schema.Signature, signature.of(frames, None, name, root=root, cause=cause))
    found["presumed"] = True
    return found


def _ending(entries: list[schema.BlackBox], beat: int, kill_after: float | None) -> tuple[str, str | None]:
    """The signal, and its cause. `beat` is when capture gave the last sign of life, in microseconds."""
    if not entries:
        return "SIGKILL", UNKNOWN
    last = entries[-1]
    why, later = last.get("why"), beat - last.get("when", 0)
    if why == "time-out":
        outlived = kill_after is not None and later > kill_after * 1e6
        return ("SIGKILL" if outlived else "SIGTERM"), why
    if why == "SIGTERM":
        return why, None
    if why == "memory" and (later < _SOON or last.get("share", 0) >= _NEARLY_FULL):
        return "SIGKILL", oom.CAUSE
    return "SIGKILL", UNKNOWN


def _beat(store: Store, run_id: str) -> int:
    text: Any = store.read(keys.record(run_id, "heartbeat"), limit=64) or b""
    try:
        return int(text)
    except ValueError:
        return 0
