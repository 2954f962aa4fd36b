"""Where the environment of a workstation is made, and when it is made again."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsenv.config import load
from dsenv.envs import lockfile
from dsenv.errors import TransportError
from dsenv.events import Cancel, ignore
from dsenv.models.machine import Identity
from dsenv.providers import registry
from dsenv.testing.index import PackageIndex, write_wheel
from dsenv.testing.workstation import Workstation
from dsenv.transports.local import LocalTransport
from dsenv.workflows import environment, lock
from dsenv.workflows.target import Target

_CONFIG = '[project]\nname = "proj"\n[environment]\npython = "3.11"\nplatforms = ["linux-64"]\n'


class Unreachable(LocalTransport):
    """A connection on which nothing may be asked."""

    def open_channel(self, *_: object, **__: object) -> object:  # type: ignore[override]
        raise TransportError("nothing may be asked of this machine")

    run = put = open_channel  # type: ignore[assignment]


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Target]:
    root = tmp_path / "proj"
    root.mkdir()
    (root / "dsenv.toml").write_text(_CONFIG)
    (root / "requirements.txt").write_text("alpha\n")
    monkeypatch.chdir(root)
    write_wheel(tmp_path / "wheels", "alpha", "1.0")
    with PackageIndex(tmp_path / "wheels") as index:
        monkeypatch.setenv("UV_DEFAULT_INDEX", index.url)
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
        project = load.load(root)
        identity = Identity(root, "proj", "default")
        yield Target(project, project.workstation("default"), registry.load("local"), identity)


def test_a_workstation_that_is_this_machine_is_not_asked_over_its_connection(target: Target, tmp_path: Path) -> None:
    lock.lock(target.project, emit=ignore, cancel=Cancel())
    home = tmp_path / "home"
    machine = Workstation(home, target.project.root).machine
    assert environment.known(target, machine) is None

    ready = environment.ensure(target, machine, Unreachable(home), ignore, Cancel())
    assert ready is not None
    assert ready.id == lockfile.read(target.project.lock_file).id
    assert os.access(Path(ready.prefix) / "bin/python", os.X_OK)
    assert list(Path(ready.prefix).glob("lib/python3.11/site-packages/alpha*"))
    assert environment.known(target, machine) == ready

    apart = dataclasses.replace(machine, shares_files=False)
    with pytest.raises(TransportError, match="nothing may be asked"):
        environment.ensure(target, apart, Unreachable(home), ignore, Cancel())

    assert environment.known(target, dataclasses.replace(machine, created=2)) is None  # another machine
    with target.project.lock_file.open("a") as file:
        file.write("\n")
    assert environment.known(target, machine) is None  # another lock


def test_without_a_lock_there_is_no_environment(target: Target, tmp_path: Path) -> None:
    machine = Workstation(tmp_path / "home", target.project.root).machine
    assert environment.ensure(target, machine, Unreachable(tmp_path), ignore, Cancel()) is None
    assert environment.known(target, machine) is None
