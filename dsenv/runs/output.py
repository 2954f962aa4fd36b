"""The output of a run by line: any part of a log of gigabytes is at hand without reading the rest."""

from __future__ import annotations

import bisect
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import BinaryIO

from dsenv.agent.schema import OUTPUT_HEADER
from dsenv.errors import RecordError

MAX_CHUNK = 64 << 20
_BLOCK = 4 << 20
_APART = 128 << 10  # bytes of the log between two marks
_CACHED = 64  # blocks between marks that are kept decoded
_SPAN = 400 * 86_400 * 1_000_000  # no run is longer, in microseconds
_SYNC = 1 << 20  # how far before the end a beginning of a chunk is looked for
# A stream, and the first bytes of a time that is not further away than the years 1988 and 2059.
_BEGIN = re.compile(rb"(?=[\x01\x02]\x00[\x02-\x0a])", re.DOTALL)

Line = tuple[int, bytes]  # stream 1 or 2, and the line without its end


class OutputLines:
    """The lines of a log, numbered from 0. A chunk begins a new line, whatever the one before it ended with.

    `scan` reads the log once; `lines` reads what it needs. Both may be called from any thread, and raise RecordError
    for a log that is damaged.
    """

    def __init__(self, opened: Callable[[], BinaryIO]) -> None:
        self._opened = opened
        self._marks: list[tuple[int, int]] = [(0, 0)]  # line, offset of the chunk that it begins
        self._blocks: OrderedDict[int, list[Line]] = OrderedDict()
        self._lock = threading.Lock()
        self.count = 0

    def scan(self, check: Callable[[], None] = lambda: None) -> None:
        """Find where lines begin. `check` is called now and then, and may raise to end it."""
        with self._opened() as stream:
            for offset, _, data in _chunks(stream, check):
                if offset - self._marks[-1][1] >= _APART:
                    self._marks.append((self.count, offset))
                self.count += data.count(b"\n") + (not data.endswith(b"\n"))

    def lines(self, first: int, count: int) -> list[Line]:
        """At most `count` lines from `first` on."""
        found: list[Line] = []
        while first < self.count and len(found) < count:
            position = bisect.bisect_right(self._marks, (first, 1 << 62)) - 1
            block = self._block(position)
            begin = first - self._marks[position][0]
            part = block[begin : begin + count - len(found)]
            if not part:
                break
            found += part
            first += len(part)
        return found

    def _block(self, position: int) -> list[Line]:
        with self._lock:
            if position in self._blocks:
                self._blocks.move_to_end(position)
                return self._blocks[position]
        offset = self._marks[position][1]
        end = self._marks[position + 1][1] if position + 1 < len(self._marks) else None
        lines: list[Line] = []
        with self._opened() as stream:
            stream.seek(offset)
            for place, number, data in _chunks(stream, lambda: None, offset):
                if end is not None and place >= end:
                    break
                lines += ((number, line) for line in data.removesuffix(b"\n").split(b"\n"))
        with self._lock:
            self._blocks[position] = lines
            while len(self._blocks) > _CACHED:
                self._blocks.popitem(last=False)
        return lines


def _chunks(stream: BinaryIO, check: Callable[[], None], offset: int = 0) -> Iterator[tuple[int, int, bytes]]:
    """(offset, stream, data) of every whole chunk from where the stream stands, which is at `offset`."""
    header = OUTPUT_HEADER
    buffer, position, block = b"", 0, _BLOCK
    while True:
        if position + header.size <= len(buffer):
            number, _, length = header.unpack_from(buffer, position)
            if number not in {1, 2} or length > MAX_CHUNK:
                raise RecordError("the output is damaged", hint="fetch the record again")
            end = position + header.size + length
            if end <= len(buffer):
                yield offset + position, number, buffer[position + header.size : end]
                position = end
                continue
            block = max(_BLOCK, end - len(buffer))
        check()
        data = stream.read(block)
        if not data:
            return
        buffer, offset, position = buffer[position:] + data, offset + position, 0


def end_of(stream: BinaryIO, limit: int) -> list[tuple[int, int, bytes]]:
    """The last chunks as (stream, time, data), about `limit` bytes of them, without reading what is before them.

    A chunk begins where one header leads to the next until the end, or until a last one that was cut off.
    """
    size = stream.seek(0, os.SEEK_END)
    begin = max(0, size - limit - _SYNC)
    stream.seek(begin)
    data = stream.read()
    candidates = (match.start() for match in _BEGIN.finditer(data)) if begin else iter((0,))
    for start in candidates:
        found = _chain(data, start)
        if found is not None:
            kept: list[tuple[int, int, bytes]] = []
            held = 0
            for chunk in reversed(found):
                if kept and held + len(chunk[2]) > limit:
                    break
                kept.append(chunk)
                held += len(chunk[2])
            return kept[::-1]
    return []


def _chain(data: bytes, position: int) -> list[tuple[int, int, bytes]] | None:
    """All chunks from `position` to the end; None when that is not where one begins."""
    header = OUTPUT_HEADER
    found: list[tuple[int, int, bytes]] = []
    while position + header.size <= len(data):
        number, time, length = header.unpack_from(data, position)
        if (
            number not in {1, 2}
            or length > MAX_CHUNK
            or (found and not found[0][1] - _SPAN < time < found[0][1] + _SPAN)
        ):
            return None
        found.append((number, time, data[position + header.size : position + header.size + length]))
        position += header.size + length
    return found if len(found) > 1 or position == len(data) else None
