"""System packages: found, installed where that is ours, told where it is not. The programs are played by scripts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsenv.errors import EnvError, ProviderError
from dsenv.events import Cancel, Event, Notice
from dsenv.models.machine import Machine
from dsenv.providers.base import Spec
from dsenv.testing.fake import FakeProvider
from dsenv.transports.base import Transport
from dsenv.workflows import packages
from dsenv.workflows.target import Target
from tests.unit.workflows.conftest import Make

_DPKG = 'shift 3; for name; do grep -qx "$name" "$HOME/installed" && echo "installed $name"; done; exit 0'
_APT = """
case "$*" in *update) touch "$HOME/updated"; exit 0 ;; esac
[ -e "$HOME/updated" ] || { echo "E: Unable to locate package" >&2; exit 100; }
case "$*" in *nonsense*) echo reading; echo "E: Unable to locate package nonsense" >&2; exit 100 ;; esac
for last; do :; done
echo "$last" >> "$HOME/installed"
"""


class Box:
    """A machine whose package manager is ours."""

    def __init__(self, target: Target, fake: FakeProvider, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.machine: Machine = fake.create(Spec(target.identity, target.settings), lambda event: None)
        self.fake, self.folder, self.events = fake, folder, list[Event]()
        Path(self.machine.home, "installed").write_text("libgomp1\n")
        folder.mkdir()
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        self.program("dpkg-query", _DPKG)
        self.program("apt-get", _APT)
        self.program("id", "echo 0")
        self.transport: Transport = fake.transport(self.machine)  # has the PATH of now

    def program(self, name: str, script: str) -> None:
        (self.folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (self.folder / name).chmod(0o755)

    def ensure(self, *names: str) -> None:
        packages.ensure(self.fake, self.machine, names, self.transport, self.events.append, Cancel())


@pytest.fixture
def box(make_target: Make, fake: FakeProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Box]:
    box = Box(make_target(), fake, tmp_path / "bin", monkeypatch)
    yield box
    box.transport.close()


def test_what_is_there_is_left(box: Box) -> None:
    box.program("apt-get", "exit 1")
    box.ensure("libgomp1")
    assert packages.missing(box.transport, ["libgomp1", "graphviz"]) == ["graphviz"]


def test_what_is_missing_is_installed_with_fresh_lists_if_need_be(box: Box) -> None:
    box.ensure("libgomp1", "graphviz")
    assert packages.missing(box.transport, ["graphviz"]) == []


def test_a_name_that_does_not_exist(box: Box) -> None:
    with pytest.raises(EnvError, match="nonsense") as caught:
        box.ensure("nonsense")
    assert caught.value.detail == "E: Unable to locate package nonsense"


def test_sudo_that_asks_for_a_password(box: Box) -> None:
    box.program("id", "echo 1000")
    box.program("sudo", "echo 'a password is required' >&2; exit 1")
    with pytest.raises(ProviderError, match="sudo asks for a password"):
        box.ensure("graphviz")


def test_a_machine_that_is_not_ours_is_left_as_it_is(box: Box) -> None:
    box.program("apt-get", "exit 1")

    class Given(FakeProvider):
        owns_machines = False

    box.fake = Given(box.folder)
    box.ensure("libgomp1", "graphviz")
    told = [event.message for event in box.events if isinstance(event, Notice)]
    assert told == ["default lacks graphviz; on it: sudo apt-get install graphviz"]
