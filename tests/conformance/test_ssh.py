"""The system's ssh against the suite of all transports, and machines of the user's against that of all providers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dsenv.config.schema import Workstation
from dsenv.models.machine import Identity
from dsenv.providers import registry
from dsenv.providers.base import Provider
from dsenv.testing.providers import ProviderConformance
from dsenv.testing.transports import TransportConformance
from dsenv.transports import openssh
from dsenv.transports.base import Transport
from tests.openssh_lab import USABLE, Lab

pytestmark = pytest.mark.skipif(not USABLE, reason="there is no ssh or no sshd on this machine")


@pytest.fixture
def lab(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    lab = Lab(tmp_path_factory.mktemp("lab"))
    monkeypatch.setenv("PATH", lab.path)
    yield lab
    lab.close()


@pytest.mark.slow
class TestSystemSsh(TransportConformance):
    @pytest.fixture
    def transport(self, lab: Lab) -> Iterator[Transport]:
        lab.server("box")
        with openssh.OpenSshTransport("box") as transport:
            yield transport
        openssh.disconnect("box")


@pytest.mark.slow
class TestMachinesOfTheUsers(ProviderConformance):
    @pytest.fixture
    def provider(self, lab: Lab) -> Iterator[Provider]:
        lab.server("box")
        yield registry.load("ssh")
        openssh.disconnect("box")

    @pytest.fixture
    def settings(self) -> Workstation:
        return Workstation(provider="ssh", host="box")

    @pytest.fixture
    def identity(self, tmp_path: Path) -> Identity:
        """On a new laptop, the project's file is what says where its workstation is."""
        (tmp_path / "dsenv.toml").write_text(
            '[project]\nname = "conformance"\n[workstations.one]\nprovider = "ssh"\nhost = "box"\n'
        )
        return Identity(tmp_path, "conformance", "one")
