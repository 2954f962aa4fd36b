"""What `dsenv runs prune` says of what it would do."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsenv.cli.main import main
from dsenv.testing.records import RecordBuilder


@pytest.mark.parametrize(
    ("before", "words"),
    [
        ("2026-02-01", "0 runs and 0 blobs, 0.0 MB; 1 run stays"),
        ("2026-04-01", "1 run and 0 blobs, 0.0 MB; 0 runs stay"),
    ],
)
def test_it_counts_as_people_do(before: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    RecordBuilder(tmp_path).write()
    assert main(["runs", "prune", "--older-than", before, "--dry-run", "--store", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"would delete {words}\n"
