"""`up`: what it asks of the provider, what it remembers, and what it says."""

from __future__ import annotations

import dataclasses

import pytest

from dsenv import events
from dsenv.errors import ProviderError, UsageError
from dsenv.events import Cancel
from dsenv.models.machine import Machine, Problem
from dsenv.testing.fake import FakeProvider
from dsenv.workflows import chosen, down, needs
from dsenv.workflows import up as workflow
from dsenv.workflows.chosen import Chosen
from dsenv.workflows.target import Target, in_use
from tests.unit.workflows.conftest import Make


def _up(target: Target) -> workflow.Up:
    return workflow.up(target, emit=events.ignore, cancel=Cancel())


def test_it_makes_then_finds(make_target: Make) -> None:
    first = _up(make_target())
    assert (first.was, first.created, first.state) == ("missing", True, "running")
    assert first.steps.keys() == {"workstation"}
    assert first.seconds >= first.steps["workstation"]
    again = _up(make_target())
    assert (again.was, again.created) == ("running", False)


def test_who_makes_it_is_remembered_before_it_is_made(make_target: Make, fake: FakeProvider) -> None:
    target = make_target(Chosen(size="cpu=4"), size="cpu=4")

    class Fails(FakeProvider):
        def create(self, *_: object) -> Machine:
            assert chosen.made_by(target.folder) == "fake"
            raise ProviderError("the cloud is full")

    broken = dataclasses.replace(target, provider=Fails(fake.folder))
    with pytest.raises(ProviderError, match="full"):
        _up(broken)
    assert chosen.read(target.folder) == Chosen()  # nothing came of it
    _up(target)
    assert chosen.read(target.folder) == Chosen(size="cpu=4")
    assert chosen.providers_in_use() == {"fake"}


def test_it_does_not_change_its_provider(make_target: Make) -> None:
    target = make_target()
    _up(target)
    other = dataclasses.replace(target, settings=target.settings.model_copy(update={"provider": "docker"}))
    for ask in (_up, workflow.plan):
        with pytest.raises(ProviderError, match="made by fake, and docker is asked for now"):
            ask(other)
    down.down(target, emit=events.ignore, cancel=Cancel())
    assert chosen.made_by(target.folder) is None
    assert workflow.plan(other).was == "missing"


def test_a_provider_that_cannot_work_says_why(make_target: Make, fake: FakeProvider) -> None:
    fake.problems.append(Problem("there are no credentials", "fake login"))
    with pytest.raises(ProviderError, match="no credentials") as caught:
        _up(make_target())
    assert caught.value.hint == "fake login"
    assert fake.specs == []


def test_needs_without_a_lock(make_target: Make) -> None:
    found = needs.gathered(make_target())
    assert (found.os, found.packages, found.environment) == ("debian-12", (), None)


def test_like_nothing(make_target: Make) -> None:
    with pytest.raises(UsageError, match="nothing that a workstation can be like"):
        needs.gathered(make_target(), "image:x")


@pytest.mark.parametrize(
    ("before", "now", "then"),
    [
        (Chosen(size="cpu=1"), Chosen(), Chosen(size="cpu=1")),
        (Chosen(size="cpu=1"), Chosen(instance_type="m7i.large"), Chosen(instance_type="m7i.large")),
        (Chosen(provider="aws", instance_type="m7i.large"), Chosen(size="cpu=2"), Chosen(provider="aws", size="cpu=2")),
        (Chosen(provider="aws", size="cpu=2"), Chosen(provider="ssh"), Chosen(provider="ssh")),
        (Chosen(like="run:1"), Chosen(like="run:2"), Chosen(like="run:2")),
    ],
)
def test_what_was_chosen_holds_until_something_else_is(before: Chosen, now: Chosen, then: Chosen) -> None:
    assert now.or_else(before) == then


def test_providers_that_nobody_uses_are_not_asked() -> None:
    assert in_use() == ["local"]
