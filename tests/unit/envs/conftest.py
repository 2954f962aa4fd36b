"""An offline package index and a project that locks against it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dsenv.config import load
from dsenv.config.load import Loaded
from dsenv.testing.index import PackageIndex, write_wheel

MakeProject = Callable[..., Loaded]


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PackageIndex]:
    """An index with alpha 1.0 and 2.0, beta (needs alpha), and a cache that no other test shares."""
    folder = tmp_path / "wheelhouse"
    write_wheel(folder, "alpha", "1.0")
    write_wheel(folder, "alpha", "2.0")
    write_wheel(
        folder, "beta", "1.5", {"beta/__init__.py": "def main():\n    print('beta runs')\n"},
        requires=["alpha"], scripts={"beta": "beta:main"},
    )  # fmt: skip
    with PackageIndex(folder) as served:
        monkeypatch.setenv("UV_DEFAULT_INDEX", served.url)
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
        yield served


@pytest.fixture
def make_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeProject:
    """A function that writes a project with a requirements.txt and loads it."""
    root = tmp_path / "project"
    root.mkdir()
    monkeypatch.chdir(root)

    def make(requirements: str, platforms: str = '["linux-64"]', extra: str = "") -> Loaded:
        (root / "requirements.txt").write_text(requirements)
        (root / "dsenv.toml").write_text(
            f'[project]\nname = "demo"\n[environment]\npython = "3.11"\nplatforms = {platforms}\n{extra}'
        )
        return load.load(root)

    return make
