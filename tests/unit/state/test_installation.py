"""The word by which one installation of dsenv is told from another."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dsenv.state import installation


def test_it_is_made_once_whoever_asks_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadPoolExecutor(8) as pool:
        words = set(pool.map(lambda _: installation.here(), range(16)))
    (word,) = words
    assert len(word) == 16
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert installation.here() not in words
