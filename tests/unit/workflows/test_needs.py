"""A machine that is like the one of a recorded run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dsenv.errors import UsageError
from dsenv.runs.record import Record
from dsenv.runs.store.folder import FolderStore
from dsenv.testing.records import RUN_ID, RecordBuilder
from dsenv.workflows import needs


def _record(folder: Path, **facts: Any) -> Record:
    builder = RecordBuilder(folder)
    builder.record["fingerprint"] = facts
    builder.write()
    return Record(FolderStore(folder), RUN_ID)


def test_what_the_group_allowed_is_what_the_run_had(tmp_path: Path) -> None:
    system = {"system": "Linux", "machine": "arm64", "distribution": "ubuntu 24.04"}
    limits = {"memory": 64 << 30, "memory_limit": 8 << 30, "cpu_limit": 1.5}
    found = needs.of_record(_record(tmp_path, os=system, cpu={"count": 16, "flags": ["sve"]}, limits=limits))
    assert (found.os, found.architecture, found.cpus, found.memory_gb) == ("ubuntu-24.04", "aarch64", 2, 8.0)
    assert found.cpu_features == {"sve"}
    assert found.packages == ()


def test_what_is_not_known_is_not_asked_for(tmp_path: Path) -> None:
    found = needs.of_record(_record(tmp_path))
    assert (found.os, found.architecture, found.cpus, found.memory_gb) == ("", "", 0, 0.0)


def test_other_systems_have_no_like(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="ran on Darwin"):
        needs.of_record(_record(tmp_path, os={"system": "Darwin"}))
