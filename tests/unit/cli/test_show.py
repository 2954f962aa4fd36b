"""What `dsenv show` says of a run, and what it leaves out when there is nothing to say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dsenv.cli.main import main
from dsenv.testing.records import RecordBuilder


def shown(builder: RecordBuilder, capsys: pytest.CaptureFixture[str]) -> list[str]:
    builder.write()
    assert main(["show", "last", "--store", str(builder.store)]) == 0
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("vcs", "words"),
    [
        (None, ""),
        ({"system": "git", "commit": None, "dirty": True}, ", git, no commit yet"),
        ({"system": "git", "commit": "0123456789abcdef", "dirty": False}, ", git 0123456789"),
        ({"system": "git", "commit": "0123456789abcdef", "dirty": True}, ", git 0123456789 with uncommitted changes"),
    ],
)
def test_the_state_of_the_code(
    vcs: dict[str, Any] | None, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    builder = RecordBuilder(tmp_path)
    builder.record["code"]["vcs"] = vcs
    assert f"code       1 file, 40 B{words}" in shown(builder, capsys)


def test_a_failure_without_a_place_or_a_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    builder = RecordBuilder(tmp_path)
    builder.record["signature"]["frame"] = None
    builder.frames["failures"][0]["exceptions"][0]["message"] = ""
    lines = shown(builder, capsys)
    assert "ValueError" in lines
    assert not [line for line in lines if line.startswith("at ") or line != line.rstrip()]
