from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsenv.agent import protocol


@given(
    frames=st.lists(st.tuples(st.sampled_from([b"Q", b"D", b"L"]), st.binary(max_size=300)), max_size=8),
    cut=st.integers(1, 50),
)
def test_frames_survive_any_cutting(frames: list[tuple[bytes, bytes]], cut: int) -> None:
    stream = b"".join(protocol.encode(kind, payload) for kind, payload in frames)
    decoder = protocol.Decoder()
    found = [frame for i in range(0, len(stream), cut) for frame in decoder.feed(stream[i : i + cut])]
    assert found == frames
    assert decoder.pending == 0


def test_half_a_frame_is_pending() -> None:
    decoder = protocol.Decoder()
    assert list(decoder.feed(protocol.encode(b"Q", b"abc")[:-1])) == []
    assert decoder.pending == 7


def test_too_large_frames_are_neither_sent_nor_accepted() -> None:
    with pytest.raises(protocol.ProtocolError, match="too large"):
        protocol.encode(b"D", bytes(protocol.MAX_FRAME + 1))
    with pytest.raises(protocol.ProtocolError, match="too large"):
        list(protocol.Decoder().feed(protocol.HEADER.pack(b"D", protocol.MAX_FRAME + 1)))


@pytest.mark.parametrize("payload", [b"", b"[]", b"1", b"{", b"\xff"])
def test_what_is_no_object_is_refused(payload: bytes) -> None:
    with pytest.raises(protocol.ProtocolError):
        protocol.decode_json(payload)


@given(
    records=st.lists(st.tuples(st.sampled_from([0, 1, 2]), st.binary(max_size=50)), max_size=8), cut=st.integers(1, 9)
)
def test_a_log_is_read_from_any_record(records: list[tuple[int, bytes]], cut: int) -> None:
    log = b"".join(protocol.RECORD.pack(stream, len(data)) + data for stream, data in records)
    reader = protocol.LogReader()
    found = []
    for start in range(0, len(log), cut):
        found += list(reader.feed(log[start : start + cut]))
    assert found == records
    assert reader.offset == len(log)
    first = protocol.RECORD.size + len(records[0][1]) if records else 0
    later = protocol.LogReader(first)
    assert list(later.feed(log[first:])) == records[1:]


def test_a_damaged_log_says_where() -> None:
    with pytest.raises(protocol.ProtocolError, match="byte 7"):
        list(protocol.LogReader(7).feed(b"\x09\0\0\0\0"))


def test_a_cut_record_is_forgotten() -> None:
    reader = protocol.LogReader()
    whole = protocol.RECORD.pack(1, 2) + b"ab"
    assert list(reader.feed(whole + whole[:3])) == [(1, b"ab")]
    reader.restart()
    assert list(reader.feed(whole)) == [(1, b"ab")]
    assert reader.offset == 2 * len(whole)
