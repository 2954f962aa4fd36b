"""A project with a workstation of the fake provider."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dsenv.config import load
from dsenv.config.schema import Workstation
from dsenv.models.machine import Identity
from dsenv.testing.fake import FakeProvider
from dsenv.workflows.chosen import Chosen
from dsenv.workflows.target import Target

Make = Callable[..., Target]


@pytest.fixture
def fake(tmp_path: Path) -> FakeProvider:
    return FakeProvider(tmp_path / "machines")


@pytest.fixture
def make_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake: FakeProvider) -> Make:
    """Targets of one project in the working folder; `settings` are those of the workstation."""
    root = tmp_path / "proj"
    root.mkdir()
    (root / "dsenv.toml").write_text('[project]\nname = "proj"\n')
    monkeypatch.chdir(root)

    def make(chosen: Chosen | None = None, **settings: object) -> Target:
        wanted = Workstation.model_validate({"provider": "fake", **settings})
        project = load.load(root)
        return Target(project, wanted, fake, Identity(root, "proj", "default"), chosen or Chosen())

    return make
