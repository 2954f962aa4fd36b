"""The output by line is what a reader of the whole log sees, wherever one begins to read."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsenv.agent.schema import OUTPUT_HEADER
from dsenv.errors import RecordError
from dsenv.runs import output
from dsenv.runs.record import Record
from dsenv.runs.store.folder import FolderStore
from dsenv.testing.records import RecordBuilder
from dsenv.workflows.show import tail

NOW = 1_772_360_100_000_000

Chunks = list[tuple[int, bytes]]
CHUNKS = st.lists(
    st.tuples(st.sampled_from((1, 2)), st.binary(max_size=60) | st.text("ab\n", max_size=60).map(str.encode)),
    max_size=40,
)


def log(chunks: Chunks) -> bytes:
    return b"".join(OUTPUT_HEADER.pack(s, NOW + n, len(data)) + data for n, (s, data) in enumerate(chunks))


def lines(chunks: Chunks) -> list[tuple[int, bytes]]:
    return [(stream, line) for stream, data in chunks for line in data.removesuffix(b"\n").split(b"\n")]


def scanned(data: bytes) -> output.OutputLines:
    found = output.OutputLines(lambda: io.BytesIO(data))
    found.scan()
    return found


@given(chunks=CHUNKS, first=st.integers(0, 60), count=st.integers(0, 60))
def test_any_lines_of_any_log(chunks: Chunks, first: int, count: int) -> None:
    found = scanned(log(chunks))
    assert found.count == len(lines(chunks))
    assert found.lines(first, count) == lines(chunks)[first : first + count]


def test_lines_far_apart_are_read_alone() -> None:
    chunks = [(1 + n % 2, b"%07d " % n * 20 + b"\n") for n in range(20_000)]
    found = scanned(log(chunks))
    expected = lines(chunks)
    for first in (0, 1, 777, 12_345, 19_990, 19_999, 20_000):
        assert found.lines(first, 50) == expected[first : first + 50]
    assert found.lines(0, 20_000) == expected


@given(chunks=CHUNKS, limit=st.integers(0, 500))
def test_the_end_without_the_rest(chunks: Chunks, limit: int) -> None:
    found = output.end_of(io.BytesIO(log(chunks)), limit)
    assert [(stream, data) for stream, _, data in found] == chunks[len(chunks) - len(found) :]
    if chunks:
        assert found
        assert len(found) == 1 or sum(len(data) for _, _, data in found) <= limit


@given(
    chunks=st.lists(st.tuples(st.just(1), st.binary(min_size=1, max_size=900_000)), min_size=2, max_size=6),
    cut=st.integers(0, 40),
)
def test_the_end_of_a_long_log_whose_last_chunk_was_cut_off(chunks: Chunks, cut: int) -> None:
    """Random bytes before it look like headers now and then; a chain of them does not."""
    data = log(chunks)
    data = data[: len(data) - min(cut, len(chunks[-1][1]) - 1)]
    found = output.end_of(io.BytesIO(data), 1000)
    whole = [chunk for chunk, _ in zip(chunks, range(len(chunks) - 1), strict=False)]
    last = found[-1][2]
    assert chunks[-1][1].startswith(last) or last == whole[-1][1]


def test_a_log_that_was_cut_off_or_damaged() -> None:
    data = log([(1, b"one\n"), (2, b"two\n")])
    assert scanned(data[:-2]).lines(0, 9) == [(1, b"one")]
    with pytest.raises(RecordError, match="damaged"):
        scanned(b"\x07" + data[1:])


def test_a_scan_can_be_stopped() -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    found = output.OutputLines(lambda: io.BytesIO(log([(1, b"x\n")])))
    with pytest.raises(KeyboardInterrupt):
        found.scan(stop)


@pytest.mark.parametrize("parts", [False, True])
def test_the_end_of_a_large_output_of_a_record(tmp_path: Path, parts: bool) -> None:
    builder = RecordBuilder(tmp_path)
    builder.chunks = [(1, b"%06d\n" % number * 100) for number in range(4000)]
    folder = builder.write()
    if parts:
        data = (folder / "output").read_bytes()
        (folder / "output").unlink()
        size = (OUTPUT_HEADER.size + 700) * 500
        for number, start in enumerate(range(0, len(data), size)):
            (folder / f"output.{number:06}").write_bytes(data[start : start + size])
    record = Record(FolderStore(tmp_path), builder.id)
    chunks, total = tail(record, limit=50_000)
    assert total == record.output_size() == 4000 * (700 + OUTPUT_HEADER.size)
    assert 45_000 < sum(len(chunk.data) for chunk in chunks) <= 50_000
    assert chunks[-1].data == b"003999\n" * 100
    assert (record.output_lines() is None) == parts
