"""A workstation in the test cloud: an account, a project, and the certainty that nothing stays behind."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dsenv import events
from dsenv.config.schema import Workstation
from dsenv.models.machine import Identity, Machine, Needs
from dsenv.providers.aws.provider import AwsProvider
from dsenv.providers.base import Spec
from tests.lab.client import Lab


@dataclasses.dataclass
class Desk:
    """What a test works with."""

    lab: Lab
    identity: Identity
    provider: AwsProvider = dataclasses.field(default_factory=AwsProvider)
    said: list[events.Event] = dataclasses.field(default_factory=list)

    def spec(self, needs: Needs | None = None, **settings: Any) -> Spec:
        return Spec(self.identity, Workstation(provider="aws", **settings), needs or Needs())

    def up(self, needs: Needs | None = None, **settings: Any) -> Machine:
        return self.provider.create(self.spec(needs, **settings), self.said.append)

    def notices(self) -> list[str]:
        return [event.message for event in self.said if isinstance(event, events.Notice)]

    def kept(self, kind: str = "") -> list[dict[str, Any]]:
        """What is in the account because of us."""
        rows = [row for row in self.lab.ledger() if "dsenv:id" in row["tags"] and row["state"] != "terminated"]
        return [row for row in rows if kind in {"", row["kind"]}]

    def in_a_process(self, verb: str, dies: int = 0, **settings: Any) -> subprocess.Popen[bytes]:
        """The same in a process of its own, which a test may kill. It starts when it reads a line.

        `dies`: it kills itself at this step of the change of the host key.
        """
        wanted = {"provider": "aws", **settings}
        facts = {"root": str(self.identity.root), "verb": verb, "settings": wanted, "dies": dies}
        argv = [sys.executable, str(Path(__file__).with_name("worker.py")), json.dumps(facts)]
        return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.fixture
def desk(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    for name, value in lab.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DSENV_CHECKIP_URL", lab.check_address)
    monkeypatch.setenv("PYTHONPATH", os.getcwd())
    desk = Desk(lab, Identity(tmp_path, "desk", "one"))
    yield desk
    lab.clear_faults()
    provider = AwsProvider()
    found = provider.find(desk.identity)
    if found is not None:
        provider.destroy(found, events.ignore)
    assert desk.kept() == []
