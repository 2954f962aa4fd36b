"""Containers against the suite of all providers."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dsenv.config import paths
from dsenv.config.schema import Workstation
from dsenv.providers import registry
from dsenv.providers.base import Provider
from dsenv.testing.providers import ProviderConformance

pytestmark = pytest.mark.slow


@pytest.fixture
def image(base_image: str) -> str:
    """What containers start from; without an engine tests are skipped, and in CI they fail."""
    return base_image


class TestDocker(ProviderConformance):
    @pytest.fixture
    def provider(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Provider:
        # Other tests use the engine at the same time: they are other users.
        monkeypatch.setenv("LOGNAME", f"{tmp_path.parent.name}-{tmp_path.name}")
        return registry.load("docker")

    @pytest.fixture
    def settings(self, image: str) -> Workstation:
        return Workstation(provider="docker", image=image, size="mem=1")

    @pytest.fixture
    def bigger(self, image: str) -> Workstation:
        return Workstation(provider="docker", image=image, size="mem=2,cpu=1.5")

    def lose(self) -> None:
        super().lose()
        shutil.rmtree(paths.workstations_dir())
