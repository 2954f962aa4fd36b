"""`audit`: orphans are found, removed in an order that works, and what stays is told."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from dsenv import events
from dsenv.errors import ProviderError
from dsenv.events import Cancel
from dsenv.models.machine import Problem, Resource
from dsenv.testing.fake import FakeProvider
from dsenv.workflows import audit as workflow
from dsenv.workflows import up
from tests.unit.workflows.conftest import Make

Ask = Callable[..., workflow.Audit]


def _thing(kind: str, name: str, orphan: str = "its workstation is gone", state: str = "available") -> Resource:
    return Resource("fake", "here", kind, name, state, "p-w-1", "p", "w", 1, 0.1, orphan)


@pytest.fixture
def ask(fake: FakeProvider) -> Ask:
    def audit(**options: str) -> workflow.Audit:
        return workflow.audit(emit=events.ignore, cancel=Cancel(), makers={"fake": fake}, **options)

    return audit


def test_workstations_are_no_orphans(make_target: Make, ask: Ask) -> None:
    up.up(make_target(), emit=events.ignore, cancel=Cancel())
    found = ask()
    assert [item.name for item in found.resources] == ["default"]
    assert (found.orphans, found.per_hour) == ([], 0.5)


def test_orphans_go_and_the_rest_stays(fake: FakeProvider, ask: Ask) -> None:
    fake.extra = [_thing("security-group", "sg-1"), _thing("disk", "vol-1"), _thing("disk", "vol-2", orphan="")]
    found = ask()
    assert {item.id for item in found.orphans} == {"sg-1", "vol-1"}
    fixed = workflow.fix(found, emit=events.ignore, cancel=Cancel(), makers={"fake": fake})
    assert [item.id for item in fixed.removed] == ["vol-1", "sg-1"]
    assert (fixed.orphans, round(fixed.per_hour, 2)) == ([], 0.1)
    assert [item.id for item in fake.extra] == ["vol-2"]


def test_what_cannot_be_removed_is_told(fake: FakeProvider, ask: Ask) -> None:
    fake.extra = [_thing("disk", "vol-1", state="stuck"), _thing("disk", "vol-2")]
    fixed = workflow.fix(ask(), emit=events.ignore, cancel=Cancel(), makers={"fake": fake})
    assert fixed.failed == {"vol-1": "vol-1 is in use by someone else"}
    assert [item.id for item in fixed.orphans] == ["vol-1"]
    assert dataclasses.replace(fixed, failed={}).removed[0].id == "vol-2"


def test_a_provider_that_is_named_must_answer(fake: FakeProvider, ask: Ask) -> None:
    fake.problems.append(Problem("there are no credentials", "fake login"))
    with pytest.raises(ProviderError, match="no credentials"):
        ask(provider="fake")
    assert ask().resources == []
