"""`resize`: the files stay, and so does the old size when the new one cannot be had."""

from __future__ import annotations

import pytest

from dsenv import events
from dsenv.errors import ProviderError, UsageError, WorkstationNotReadyError
from dsenv.events import Cancel
from dsenv.testing.fake import FakeProvider
from dsenv.workflows import chosen, resize, up
from dsenv.workflows.chosen import Chosen
from tests.unit.workflows.conftest import Make


def test_it_becomes_larger_and_that_is_remembered(make_target: Make, fake: FakeProvider) -> None:
    up.up(make_target(size="cpu=1"), emit=events.ignore, cancel=Cancel())
    larger = make_target(Chosen(size="cpu=2"), size="cpu=2")
    planned = resize.resize(larger, dry_run=True, emit=events.ignore, cancel=Cancel())
    assert (planned.was, planned.workstation.note) == ("cpu=1", "cpu=1")
    done = resize.resize(larger, emit=events.ignore, cancel=Cancel())
    assert (done.was, done.workstation.note, done.workstation.price_per_hour) == ("cpu=1", "cpu=2", 0.5)
    assert chosen.read(larger.folder).size == "cpu=2"


def test_a_size_that_cannot_be_had_is_not_remembered(make_target: Make) -> None:
    up.up(make_target(Chosen(size="cpu=1"), size="cpu=1"), emit=events.ignore, cancel=Cancel())
    target = make_target(Chosen(size="cpu=1000"), size="cpu=1000")
    with pytest.raises(ProviderError, match="no such size"):
        resize.resize(target, emit=events.ignore, cancel=Cancel())
    assert chosen.read(target.folder).size == "cpu=1"


def test_what_it_needs_to_know(make_target: Make) -> None:
    with pytest.raises(UsageError, match="new size"):
        resize.resize(make_target(), emit=events.ignore, cancel=Cancel())
    with pytest.raises(WorkstationNotReadyError, match="no workstation"):
        resize.resize(make_target(size="cpu=2"), emit=events.ignore, cancel=Cancel())
