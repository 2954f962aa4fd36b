from __future__ import annotations

import os
from pathlib import Path

import pytest

from dsenv import resources
from dsenv.errors import StateError, UsageError
from dsenv.workflows.agent import export


def test_the_file_is_written_executable_and_again_is_no_change(tmp_path: Path) -> None:
    file = tmp_path / "new" / "dsenv.pyz"
    first = export(file)
    assert (first.path, first.changed, first.size) == (file, True, file.stat().st_size)
    assert file.read_bytes() == resources.agent_archive()
    assert file.stat().st_mode & 0o777 == 0o755
    assert not export(file).changed


def test_an_older_one_is_replaced_and_a_strange_file_is_not(tmp_path: Path) -> None:
    file = tmp_path / "dsenv.pyz"
    file.write_bytes(resources.agent_archive() + b"\n")
    assert export(file).changed
    file.write_bytes(b"the user's own")
    with pytest.raises(UsageError, match="not an agent") as problem:
        export(file)
    assert problem.value.hint == f"dsenv agent export --yes {file}"
    assert file.read_bytes() == b"the user's own"
    assert export(file, replace=True).changed


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    assert export(tmp_path / "a" / "x.pyz", dry_run=True).changed
    assert os.listdir(tmp_path) == []


def test_places_where_it_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder"):
        export(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(StateError):
        export(tmp_path / "file" / "x.pyz")
