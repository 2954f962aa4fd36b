"""The system's ssh against the suite of all transports, and machines of the user's against that of all providers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

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
