"""Everything that a record tells of one run."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from dsenv.agent import schema
from dsenv.runs import index
from dsenv.runs.output import OutputLines
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
    black_box: list[schema.BlackBox] = dataclasses.field(default_factory=list)
    lines: OutputLines | None = dataclasses.field(default=None, compare=False, repr=False)  # all of it, not yet scanned

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
            "black_box": self.black_box,
            "inputs": self.inputs,
            "output": text | {"bytes": self.output_bytes},
        }


def show(run: str, store: str | None) -> RunDetails:
    """Read one run. Raises UnknownRunError, RecordError, StoreError and TransportError."""
    opened = open_store(store_url(store))
    record = Record(opened, index.find(opened, run))
    return details(record)


def chunks(run: str, store: str | None) -> Iterator[OutputChunk]:
    """All that a run wrote, in order. Raises as `show`."""
    opened = open_store(store_url(store))
    yield from Record(opened, index.find(opened, run)).output()


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
        black_box=record.black_box(),
        lines=record.output_lines(),
    )


def tail(record: Record, limit: int = _OUTPUT_LIMIT) -> tuple[list[OutputChunk], int]:
    """The last chunks of the output, about `limit` bytes, and the size of all of it."""
    size = record.output_size()
    if size > 4 * limit:
        return record.output_end(limit), size
    chunks = list(record.output())
    total = held = sum(len(chunk.data) for chunk in chunks)
    first = 0
    while first < len(chunks) - 1 and held - len(chunks[first].data) >= limit:
        held -= len(chunks[first].data)
        first += 1
    return chunks[first:], total
