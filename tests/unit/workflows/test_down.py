"""`down --forget`: what is remembered here goes, nothing else does, and only when the workstation is not there."""

from __future__ import annotations

import dataclasses

import pytest

from dsenv import events
from dsenv.errors import ProviderError, TransportError
from dsenv.events import Cancel
from dsenv.models.machine import Identity, Machine, Problem
from dsenv.testing.fake import FakeProvider
from dsenv.workflows import chosen, down, sshconfig, up
from dsenv.workflows.target import Target
from tests.unit.workflows.conftest import Make


class Away(FakeProvider):
    """Its account does not answer once it is `away`."""

    away = False

    def find(self, identity: Identity) -> Machine | None:
        if self.away:
            raise TransportError("the cloud does not answer", hint="wait")
        return super().find(identity)


@pytest.fixture
def provider(fake: FakeProvider) -> Away:
    return Away(fake.folder)


@pytest.fixture
def target(make_target: Make, provider: Away) -> Target:
    target = dataclasses.replace(make_target(), provider=provider)
    up.up(target, emit=events.ignore, cancel=Cancel())
    return target


def _forget(target: Target) -> down.Forgotten:
    return down.forget(target, emit=events.ignore, cancel=Cancel())


def test_one_that_is_there_is_not_forgotten(target: Target, provider: Away) -> None:
    for ask in (down.plan_to_forget, _forget):
        with pytest.raises(ProviderError, match="default is there, running") as caught:
            ask(target)
        assert caught.value.hint == "dsenv down default destroys it"
    assert chosen.made_by(target.folder) == "fake"


def test_one_that_cannot_be_asked_for_is_forgotten(target: Target, provider: Away) -> None:
    machine = provider.made[target.identity.id]
    provider.away = True
    with pytest.raises(TransportError) as caught:
        down.down(target, emit=events.ignore, cancel=Cancel())
    assert caught.value.hint == "wait; if that machine is gone for good: dsenv down default --forget"
    said = _forget(target)
    assert (said.known, said.unreachable, said.advice) == (True, "the cloud does not answer", "dsenv audit")
    assert said.remains is not None
    assert machine.home in said.remains
    assert [file.name for file in target.folder.iterdir()] == ["lock"]
    assert target.identity.alias not in (sshconfig.folder() / "config").read_text()
    assert provider.made == {target.identity.id: machine}  # nothing is destroyed
    assert not _forget(target).known


def test_nothing_remains_of_one_that_its_provider_has_not(target: Target, provider: Away) -> None:
    provider.made.clear()
    said = _forget(target)
    assert (said.known, said.unreachable, said.remains, said.advice) == (True, None, None, None)


def test_a_provider_that_cannot_work_says_nothing_about_it(target: Target, provider: Away) -> None:
    provider.made.clear()
    provider.problems.append(Problem("no credentials", "log in"))
    said = _forget(target)
    assert said.unreachable == "no credentials"
    assert said.remains is not None


def test_what_was_never_made_leaves_no_trace(make_target: Make) -> None:
    target = make_target()
    assert not _forget(target).known
    assert not target.folder.exists()
