"""Frames between a client and the agent, and between the agent and a job's supervisor.

A frame is one byte of kind, a big-endian u32 length and that many bytes. A connection is one client and one
agent on any byte stream; the client may send everything it knows without waiting (see `dsenv.agent.serve`).
Nothing larger than MAX_FRAME is accepted, so that no peer can make the other one allocate at will.
"""

from __future__ import annotations

import json
import struct
from typing import Any, Dict, Iterator, List, Tuple

HEADER = struct.Struct(">cI")
MAX_FRAME = 4 << 20
CHUNK = 1 << 16

# client to agent
REQUEST = b"Q"  # JSON object with "op"
DATA = b"D"  # part of a compressed stream of records; in both directions
END = b"F"  # the stream of records is complete: JSON
STDIN = b"I"  # OFFSET, then bytes of the job's standard input: what was received before is dropped
STDIN_END = b"E"  # the job's standard input ends here
WINDOW = b"W"  # JSON: rows, columns
SIGNAL = b"S"  # JSON: name
# agent to client
REPLY = b"R"  # JSON: the answer to a request
ERROR = b"X"  # JSON: code, message, hint: the request failed
LOG = b"L"  # part of a job's log
ACK = b"A"  # TAKEN; the first one comes when a job is followed

OFFSET = struct.Struct(">Q")
TAKEN = struct.Struct(">QQ")  # bytes of standard input that the supervisor has received, and that the job has taken

# A client sends at most this many bytes beyond what the job has taken. It keeps signals from queueing behind input.
STDIN_CREDIT = 256 << 10

# A job's log is a sequence of these, each followed by its data; EXIT is the last one and holds JSON.
RECORD = struct.Struct(">BI")
EXIT, STDOUT, STDERR = 0, 1, 2

Frame = Tuple[bytes, bytes]


class ProtocolError(Exception):
    """The peer sent what no agent or client of this version sends."""


def encode(kind: bytes, payload: bytes = b"") -> bytes:
    """One frame. Raises ProtocolError when it is too large: callers cut their data to CHUNK."""
    if len(payload) > MAX_FRAME:
        raise ProtocolError("a frame of {} bytes is too large".format(len(payload)))
    return HEADER.pack(kind, len(payload)) + payload


def encode_json(kind: bytes, value: Dict[str, Any]) -> bytes:
    """One frame with a JSON object."""
    return encode(kind, json.dumps(value).encode("ascii"))


def decode_json(payload: bytes) -> Dict[str, Any]:
    """The object in a frame. Raises ProtocolError for anything else."""
    try:
        value = json.loads(payload)
    except ValueError as error:
        raise ProtocolError("not JSON: {}".format(error)) from None
    if not isinstance(value, dict):
        raise ProtocolError("not a JSON object")
    return value


class Decoder:
    """Turns bytes as they come into frames. Not thread-safe."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def pending(self) -> int:
        """Bytes of a frame that is not complete: the stream was cut when this is not 0 at its end."""
        return len(self._buffer)

    def feed(self, data: bytes) -> Iterator[Frame]:
        """All frames that are complete now. Raises ProtocolError for one that is too large."""
        self._buffer += data
        frames: List[Frame] = []
        position = 0
        while len(self._buffer) - position >= HEADER.size:
            kind, length = HEADER.unpack_from(self._buffer, position)
            if length > MAX_FRAME:
                raise ProtocolError("a frame of {} bytes is too large".format(length))
            end = position + HEADER.size + length
            if len(self._buffer) < end:
                break
            frames.append((kind, bytes(self._buffer[position + HEADER.size : end])))
            position = end
        del self._buffer[:position]
        return iter(frames)


class LogReader:
    """Turns the bytes of a job's log into records, and knows the offset from which to resume."""

    def __init__(self, offset: int = 0) -> None:
        self.offset = offset
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Tuple[int, bytes]]:
        """Complete records as (stream, data). `offset` moves past a record when the next one is asked for."""
        self._buffer += data
        while len(self._buffer) >= RECORD.size:
            stream, length = RECORD.unpack_from(self._buffer)
            end = RECORD.size + length
            if stream > STDERR or length > MAX_FRAME:
                raise ProtocolError("the job's log is damaged at byte {}".format(self.offset))
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[RECORD.size : end])
            yield stream, body
            del self._buffer[:end]
            self.offset += end

    def restart(self) -> None:
        """Forget the beginning of a record whose rest was lost with the connection."""
        self._buffer.clear()
