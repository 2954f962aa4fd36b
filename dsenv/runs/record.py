"""A record as it is read: checked against the schema, blobs verified, nothing executed."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

from dsenv.agent import schema
from dsenv.errors import RecordError, StateError
from dsenv.runs import index, keys, lost, validate
from dsenv.runs.output import MAX_CHUNK, OutputLines, end_of
from dsenv.runs.store import Store

_JSON_LIMIT = 128 << 20
_LINES = 1_000_000
_BLOCK = 1 << 20
_DAMAGED = "the record is truncated or was changed; fetch it again, or reproduce another run"


@dataclasses.dataclass(frozen=True)
class OutputChunk:
    """A piece of output: microseconds since the epoch, and the bytes as they were written."""

    stream: Literal["stdout", "stderr"]
    time: int
    data: bytes


class Record:
    """One run in a store. Raises RecordError from any method that meets something that is not as written."""

    def __init__(self, store: Store, run_id: str) -> None:
        self.store = store
        self.id = run_id
        started = self._json("started.json", schema.Started)
        finished = self._json("record.json", schema.Record)
        if started is None and finished is None:
            raise RecordError(f"{store.url} has nothing of run {run_id}", hint="list the runs with `dsenv runs`")
        self.complete = finished is not None
        self.data: schema.Record = cast(schema.Record, finished if finished is not None else started)
        if self.data.get("id") != run_id:
            raise RecordError(f"the record of {run_id} says that it is {self.data.get('id')!r}", hint=_DAMAGED)
        self.status = self._status()
        self._presumed: schema.Frames | None = None
        if self.status == "lost":
            found, self._presumed = lost.presume(store, self.data)
            self.data = {**self.data, "signature": found}

    def _status(self) -> str:
        if self.complete:
            return self.data.get("status", "failed")
        return "running" if index.alive(self.store, self.id) else "lost"

    def _json(self, name: str, shape: Any) -> Any:
        key = keys.record(self.id, name)
        data = self.store.read(key, limit=_JSON_LIMIT)
        if data is None:
            return None
        value = validate.parse(data, shape, f"{self.store.url}/{key}")
        found = value.get("format")
        if found != schema.FORMAT:
            newer = isinstance(found, int) and found > schema.FORMAT
            raise RecordError(
                f"{self.store.url}/{key} has format {found!r}, this dsenv reads {schema.FORMAT}",
                hint="upgrade dsenv" if newer else _DAMAGED,
            )
        return value

    def summary(self) -> index.RunSummary:
        """The run as `dsenv runs` shows it."""
        return index.summary(cast(schema.Summary, self.data), self.status)

    def frames(self) -> schema.Frames:
        """The tracebacks; none when nothing was raised. Of a lost run, where it was seen last."""
        found = self._json("frames.json", schema.Frames) or self._presumed
        return found if found is not None else {"format": schema.FORMAT, "primary": None, "failures": []}

    def inputs(self) -> list[schema.Input]:
        """The files that were read, in the order in which they were opened first."""
        return self._lines("inputs.jsonl", schema.Input)

    def draws(self) -> list[schema.Draw]:
        """What generators that nobody seeded took from the system."""
        return self._lines("random.jsonl", schema.Draw)

    def black_box(self) -> list[schema.BlackBox]:
        """Where the command was near its memory limit, at its time-out and at SIGTERM, oldest first."""
        return lost.black_box(self.store, self.id)

    def _lines(self, name: str, shape: Any) -> list[Any]:
        """A file with a JSON value a line."""
        key = keys.record(self.id, name)
        where = f"{self.store.url}/{key}"
        data = self.store.read(key, limit=_JSON_LIMIT) or b""
        if data.count(b"\n") > _LINES:
            raise RecordError(f"{where} has more than {_LINES:,} lines", hint=_DAMAGED)
        lines = [line for line in data.split(b"\n") if line]
        return [validate.parse(line, shape, f"{where}:{number}") for number, line in enumerate(lines, 1)]

    def tree(self) -> schema.Tree | None:
        """The code tree, None when no code was kept."""
        code = self.data.get("code")
        if not code or not code["tree"]:
            return None
        tree: schema.Tree = validate.parse(self.blob(code["tree"]), schema.Tree, "the code tree")
        return tree

    def output(self) -> Iterator[OutputChunk]:
        """What the command wrote, in order. A last chunk that was cut off is left out: that is how a kill looks."""
        header = schema.OUTPUT_HEADER
        for stream in self._output_parts():
            with stream:
                while True:
                    head = _exactly(stream, header.size)
                    if len(head) < header.size:
                        break
                    number, time, length = header.unpack(head)
                    if number not in {1, 2} or length > MAX_CHUNK:
                        raise RecordError(f"the output of {self.id} is damaged", hint=_DAMAGED)
                    data = _exactly(stream, length)
                    yield OutputChunk("stdout" if number == 1 else "stderr", time, data)

    def output_end(self, limit: int) -> list[OutputChunk]:
        """The last chunks of the output, about `limit` bytes, without reading what is before them."""
        whole = self.store.open(keys.record(self.id, "output"))
        if whole is not None and not whole.seekable():
            whole.close()
            return list(self.output())
        found: list[tuple[int, int, bytes]] = []
        if whole is not None:
            with whole:
                found = end_of(whole, limit)
        else:
            for name in reversed(self._part_names()):
                data = self.store.read(keys.record(self.id, name), limit=_JSON_LIMIT) or b""
                part = end_of(io.BytesIO(data), limit - sum(len(chunk[2]) for chunk in found))
                found = part + found
                if sum(len(chunk[2]) + schema.OUTPUT_HEADER.size for chunk in part) < len(data):
                    break
        return [OutputChunk("stdout" if number == 1 else "stderr", time, data) for number, time, data in found]

    def output_size(self) -> int:
        """Bytes of the log of the output."""
        size = self.store.size(keys.record(self.id, "output"))
        if size is not None:
            return size
        return sum(self.store.size(keys.record(self.id, name)) or 0 for name in self._part_names())

    def output_lines(self) -> OutputLines | None:
        """The output by line, not yet scanned; None where the store keeps no file that can be sought."""
        key = keys.record(self.id, "output")
        stream = self.store.open(key)
        if stream is None:
            return None
        with stream:
            if not stream.seekable():
                return None

        def opened() -> BinaryIO:
            found = self.store.open(key)
            if found is None:
                raise RecordError(f"the output of {self.id} is gone", hint="it was pruned, perhaps: dsenv runs")
            return found

        return OutputLines(opened)

    def _part_names(self) -> list[str]:
        return sorted(n for n in self.store.children(keys.record(self.id)) if n.startswith("output."))

    def _output_parts(self) -> Iterator[BinaryIO]:
        whole = self.store.open(keys.record(self.id, "output"))
        if whole is not None:
            yield whole
            return
        for name in self._part_names():
            part = self.store.open(keys.record(self.id, name))
            if part is not None:
                yield part

    def blob(self, digest: str, *, limit: int = _JSON_LIMIT) -> bytes:
        """The bytes of a blob, verified."""
        data = self.store.read(keys.blob(digest), limit=limit)
        if data is None:
            raise RecordError(f"{self.store.url} lacks the blob {digest}", hint=_DAMAGED)
        if hashlib.sha256(data).hexdigest() != digest:
            raise RecordError(f"the blob {digest} in {self.store.url} was changed", hint=_DAMAGED)
        return data

    def blob_to(self, digest: str, file: Path, *, mode: int = 0o600) -> None:
        """Write a blob to a new file. What fails verification does not stay on disk."""
        with self._stream(digest) as stream:
            try:
                with file.open("xb") as out:
                    _copy_verified(stream, out, digest, self.store.url)
                file.chmod(mode)
            except OSError as error:
                file.unlink(missing_ok=True)
                raise StateError(
                    f"cannot write {file}: {error.strerror}",
                    hint="free some space, or set XDG_CACHE_HOME to a folder with more",
                ) from error
            except RecordError:
                file.unlink(missing_ok=True)
                raise

    def verify_blob(self, digest: str) -> None:
        """Read a blob whole and check its digest, in constant memory."""
        with self._stream(digest) as stream:
            _copy_verified(stream, None, digest, self.store.url)

    @contextmanager
    def _stream(self, digest: str) -> Iterator[BinaryIO]:
        stream = self.store.open(keys.blob(digest))
        if stream is None:
            raise RecordError(f"{self.store.url} lacks the blob {digest}", hint=_DAMAGED)
        with stream:
            yield stream

    def pack(self, digest: str) -> Iterator[tuple[str, bytes]]:
        """The (SHA-256, content) pairs of a pack, each verified. Memory is bounded by the largest file."""
        header, total = schema.PACK_HEADER, 0
        self.verify_blob(digest)
        with self._stream(digest) as raw, _unpacking(digest), gzip.GzipFile(fileobj=raw) as stream:
            while head := _exactly(cast(BinaryIO, stream), header.size):
                if len(head) < header.size:
                    raise RecordError(f"the pack {digest} is cut off", hint=_DAMAGED)
                name, length = header.unpack(head)
                total += length + header.size
                if length > schema.MAX_PACKED_FILE or total > schema.MAX_TREE_BYTES:
                    raise RecordError(f"the pack {digest} holds a file of {length:,} bytes", hint=_DAMAGED)
                data = _exactly(cast(BinaryIO, stream), length)
                if hashlib.sha256(data).digest() != name:
                    raise RecordError(f"a file in the pack {digest} was changed", hint=_DAMAGED)
                yield name.hex(), data


@contextmanager
def _unpacking(digest: str) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, zlib.error) as error:
        raise RecordError(f"the pack {digest} cannot be unpacked: {error}", hint=_DAMAGED) from error


def _exactly(stream: BinaryIO, length: int) -> bytes:
    """`length` bytes, or fewer at the end of the stream."""
    parts, missing = [], length
    while missing:
        part = stream.read(min(missing, _BLOCK))
        if not part:
            break
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def _copy_verified(stream: BinaryIO, out: BinaryIO | None, digest: str, url: str) -> None:
    found = hashlib.sha256()
    while block := stream.read(_BLOCK):
        found.update(block)
        if out is not None:
            out.write(block)
    if found.hexdigest() != digest:
        raise RecordError(f"the blob {digest} in {url} was changed", hint=_DAMAGED)
