from __future__ import annotations

from pathlib import Path

import pytest

from dsenv.testing.workstation import Workstation


@pytest.fixture
def station(tmp_path: Path) -> Workstation:
    """A workstation that is a folder, for the project in `tmp_path / "here"`."""
    (tmp_path / "here").mkdir()
    return Workstation(tmp_path / "home", tmp_path / "here")
