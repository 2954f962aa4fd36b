"""Everything that a record tells of one run."""

from __future__ import annotations

import dataclasses
from typing import Any

from dsenv.agent import schema
from dsenv.runs import index
from dsenv.runs.record import OutputChunk, Record
from dsenv.runs.store import open_store
from dsenv.workflows.runs import store_url

_OUTPUT_LIMIT = 256 << 10


@dataclasses.dataclass(frozen=True)
class RunDetails:
    """A run as it was recorded. `output` is its end, at most 256 KiB."""

    store: str
    status: str
    record: schema.Record
    frames: schema.Frames
    inputs: list[schema.Input]
    output: list[OutputChunk]
    output_bytes: int

    @property
    def failure(self) -> schema.Failure | None:
        """What the process that failed knew, when it could say something."""
        primary = self.frames["primary"]
        failures = self.frames["failures"]
        return failures[primary] if primary is not None and 0 <= primary < len(failures) else None

    def to_json(self) -> dict[str, Any]:
        text = {
            name: b"".join(chunk.data for chunk in self.output if chunk.stream == name) for name in ("stdout", "stderr")
        }
        return {
            "store": self.store,
            "run": dict(self.record) | {"status": self.status},
            "failures": self.frames["failures"],
            "primary": self.frames["primary"],
            "inputs": self.inputs,
            "output": text | {"bytes": self.output_bytes},
        }


def show(run: str, store: str | None) -> RunDetails:
    """Read one run. Raises UnknownRunError, RecordError, StoreError and TransportError."""
    opened = open_store(store_url(store))
    record = Record(opened, index.find(opened, run))
    return details(record)


def details(record: Record) -> RunDetails:
    """All parts of a record, read and checked."""
    chunks, total = tail(record)
    return RunDetails(
        store=record.store.url,
        status=record.status,
        record=record.data,
        frames=record.frames(),
        inputs=record.inputs(),
        output=chunks,
        output_bytes=total,
    )


def tail(record: Record, limit: int = _OUTPUT_LIMIT) -> tuple[list[OutputChunk], int]:
    """The last chunks of the output, about `limit` bytes, and the size of all of it."""
    kept: list[OutputChunk] = []
    held = total = 0
    for chunk in record.output():
        kept.append(chunk)
        held += len(chunk.data)
        total += len(chunk.data)
        while len(kept) > 1 and held - len(kept[0].data) >= limit:
            held -= len(kept.pop(0).data)
    return kept, total
