"""Where a workstation answered last: tried first, believed only when it answers."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from dsenv import events
from dsenv.errors import TransportError, WorkstationNotReadyError
from dsenv.events import Cancel
from dsenv.models.machine import Identity, Machine
from dsenv.testing.fake import FakeProvider
from dsenv.testing.workstation import ModuleTransport
from dsenv.transports.base import Transport
from dsenv.workflows import down, lastseen, ps, stop, up
from dsenv.workflows.target import Target
from tests.unit.workflows.conftest import Make


class Watched(FakeProvider):
    """Counts how often it is asked. `answers`: whether the machine is where it was."""

    asked = 0
    answers = True

    def find(self, identity: Identity) -> Machine | None:
        self.asked += 1
        return super().find(identity)

    def reconnect(self, machine: Machine) -> Transport:
        if not self.answers:
            raise TransportError("nobody answers")
        return ModuleTransport(Path(machine.home))


@pytest.fixture
def provider(fake: FakeProvider) -> Watched:
    return Watched(fake.folder)


@pytest.fixture
def target(make_target: Make, provider: Watched) -> Target:
    """A workstation that is up."""
    target = dataclasses.replace(make_target(), provider=provider)
    up.up(target, emit=events.ignore, cancel=Cancel())
    return target


def test_the_provider_is_not_asked_for_one_that_answers(target: Target, provider: Watched) -> None:
    before = provider.asked
    assert ps.ps(target).runs == []
    assert provider.asked == before
    assert lastseen.read(target.folder) == target.find()


def test_it_is_asked_for_one_that_does_not_answer(target: Target, provider: Watched) -> None:
    provider.answers = False
    moved = dataclasses.replace(provider.made[target.identity.id], note="moved")
    provider.made[target.identity.id] = moved
    assert ps.ps(target).runs == []
    assert lastseen.read(target.folder) == moved


def test_one_that_is_off_is_told_and_forgotten(target: Target, provider: Watched) -> None:
    provider.answers = False
    provider.stop(provider.made[target.identity.id], events.ignore)
    with pytest.raises(WorkstationNotReadyError, match="stopped"):
        ps.ps(target)
    assert lastseen.read(target.folder) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 1}', '{"version": 99}', '{"version": 1, "identity": 3}'])
def test_what_cannot_be_used_is_as_good_as_nothing(target: Target, text: str) -> None:
    (target.folder / "machine.json").write_text(text)
    assert lastseen.read(target.folder) is None
    assert ps.ps(target).runs == []
    assert lastseen.read(target.folder) == target.find()


def test_another_providers_is_not_tried(target: Target, provider: Watched) -> None:
    machine = provider.made[target.identity.id]
    lastseen.write(target.folder, dataclasses.replace(machine, provider="other", home="/nowhere"))
    assert ps.ps(target).runs == []
    assert lastseen.read(target.folder) == machine


def test_it_is_forgotten_when_it_goes(target: Target) -> None:
    stop.stop(target, emit=events.ignore, cancel=Cancel())
    assert lastseen.read(target.folder) is None
    up.up(target, emit=events.ignore, cancel=Cancel())
    assert lastseen.read(target.folder)
    down.down(target, emit=events.ignore, cancel=Cancel())
    assert lastseen.read(target.folder) is None
