"""A stream of tree records: what changed in a tree, with contents, compressed, in frames of bounded size.

Each record is HEADER (kind, length of the path, mode, mtime in ns, size), the path's bytes, and `size` bytes:
a file's content or a link's target. Folders and deletions have no content.
"""

from __future__ import annotations

import os
import struct
import zlib
from typing import Iterable, Iterator, NamedTuple, Protocol

from dsenv.agent import protocol, tree

DELETED = "x"
_HEADER = struct.Struct(">cHIqQ")
_KINDS = {tree.FILE, tree.LINK, tree.FOLDER, DELETED}
_LEVEL = 1
_SMALL = 1 << 16
_BLOCK = 1 << 20


class Header(NamedTuple):
    """One record without its content."""

    kind: str
    path: str
    mode: int
    mtime_ns: int
    size: int


class Sink(Protocol):
    """Takes a stream's records: `start` once, `write` for each piece of content, `finish` once, for each record."""

    def start(self, header: Header) -> None: ...

    def write(self, data: bytes) -> None: ...

    def finish(self) -> None: ...


def pack(header: Header) -> bytes:
    """A record's header and path. Raises ProtocolError for a path longer than any file system takes."""
    path = os.fsencode(header.path)
    if len(path) > 0xFFFF:
        raise protocol.ProtocolError("a path of {} bytes is too long".format(len(path)))
    return _HEADER.pack(header.kind.encode(), len(path), header.mode, header.mtime_ns, header.size) + path


def compress(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The pieces of a stream as DATA frames."""
    packer = zlib.compressobj(_LEVEL)
    waiting = bytearray()
    for piece in pieces:
        waiting += packer.compress(piece)
        while len(waiting) >= protocol.CHUNK:
            yield protocol.encode(protocol.DATA, bytes(waiting[: protocol.CHUNK]))
            del waiting[: protocol.CHUNK]
    waiting += packer.flush()
    for start in range(0, len(waiting), protocol.CHUNK):
        yield protocol.encode(protocol.DATA, bytes(waiting[start : start + protocol.CHUNK]))


class Reader:
    """The receiving side: feed it the payload of each DATA frame, and it drives a sink."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._unpacker = zlib.decompressobj()
        self._buffer = bytearray()
        self._remaining = -1  # bytes of content still to come; -1 between records

    @property
    def complete(self) -> bool:
        """Whether the stream ended where a record ends."""
        return self._remaining < 0 and not self._buffer

    def feed(self, data: bytes) -> None:
        """Raises ProtocolError for a damaged stream, UnsafePathError for a path that leaves the tree."""
        while True:
            try:
                piece = self._unpacker.decompress(data, _BLOCK)
            except zlib.error as error:
                raise protocol.ProtocolError("damaged data: {}".format(error)) from None
            self._buffer += piece
            self._drain()
            data = self._unpacker.unconsumed_tail
            if not data and len(piece) < _BLOCK:
                return

    def _drain(self) -> None:
        while True:
            if self._remaining < 0 and not self._begin():
                return
            if self._remaining and not self._buffer:
                return
            piece = bytes(self._buffer[: self._remaining])
            if piece:
                self._sink.write(piece)
                del self._buffer[: len(piece)]
                self._remaining -= len(piece)
            if self._remaining:
                return
            self._remaining = -1
            self._sink.finish()

    def _begin(self) -> bool:
        if len(self._buffer) < _HEADER.size:
            return False
        kind, length, mode, mtime_ns, size = _HEADER.unpack_from(self._buffer)
        name = kind.decode("latin-1")
        if name not in _KINDS or (name == tree.LINK and size > _SMALL):
            raise protocol.ProtocolError("unknown record {!r}".format(name))
        end = _HEADER.size + length
        if len(self._buffer) < end:
            return False
        path = tree.check_path(os.fsdecode(bytes(self._buffer[_HEADER.size : end])))
        self._sink.start(Header(name, path, mode & 0o777, mtime_ns, size))
        del self._buffer[:end]
        self._remaining = size
        return True
