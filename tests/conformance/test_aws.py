"""Instances of the test cloud against the suite of all providers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from dsenv.config import paths
from dsenv.config.schema import Workstation
from dsenv.providers import registry
from dsenv.providers.base import Provider
from dsenv.testing.providers import ProviderConformance
from tests.lab.client import Lab

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def account(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """Credentials for the cloud; nothing may be left in it."""
    for name, value in lab.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DSENV_CHECKIP_URL", lab.check_address)
    yield lab
    assert [entry for entry in lab.ledger() if "dsenv:id" in entry["tags"]] == []


class TestAws(ProviderConformance):
    @pytest.fixture
    def provider(self) -> Provider:
        return registry.load("aws")

    @pytest.fixture
    def settings(self) -> Workstation:
        return Workstation(provider="aws")

    @pytest.fixture
    def bigger(self) -> Workstation:
        return Workstation(provider="aws", size="cpu=4,mem=16")

    def lose(self) -> None:
        super().lose()
        shutil.rmtree(paths.data_dir() / "aws")


class TestAwsThroughSessions(TestAws):
    """The same, where no port of the machine is open."""

    @pytest.fixture
    def settings(self) -> Workstation:
        return Workstation(provider="aws", access="session-manager", instance_profile="dsenv-lab")

    @pytest.fixture
    def bigger(self) -> Workstation:
        return Workstation(provider="aws", access="session-manager", instance_profile="dsenv-lab", size="cpu=4,mem=16")
