"""Every provider against the one suite."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsenv.config.schema import Workstation
from dsenv.providers import registry
from dsenv.providers.base import Provider
from dsenv.providers.local import sshd
from dsenv.testing.fake import FakeProvider
from dsenv.testing.providers import ProviderConformance


@pytest.mark.skipif(sshd.find() is None, reason="there is no sshd on this machine")
class TestLocalWithSshd(ProviderConformance):
    @pytest.fixture
    def provider(self) -> Provider:
        return registry.load("local")

    @pytest.fixture
    def settings(self) -> Workstation:
        return Workstation(server="sshd")


class TestLocalWithOwnServer(ProviderConformance):
    @pytest.fixture
    def provider(self) -> Provider:
        return registry.load("local")

    @pytest.fixture
    def settings(self) -> Workstation:
        return Workstation(server="builtin")


class TestFake(ProviderConformance):
    """What tests of workflows use is held to the same contract."""

    @pytest.fixture
    def provider(self, tmp_path: Path) -> Provider:
        return FakeProvider(tmp_path)

    @pytest.fixture
    def settings(self) -> Workstation:
        return Workstation(provider="docker", size="cpu=1")

    @pytest.fixture
    def bigger(self) -> Workstation:
        return Workstation(provider="docker", size="cpu=2")
