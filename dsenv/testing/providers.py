"""The conformance suite of `dsenv.providers.base.Provider`: subclass it and give it the fixtures.

class TestMine(ProviderConformance):
    @pytest.fixture
    def provider(self): ...
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsenv import events
from dsenv.config import load, paths
from dsenv.config.schema import Workstation
from dsenv.envs import lockfile
from dsenv.errors import WorkstationNotReadyError
from dsenv.events import Cancel
from dsenv.models.machine import Endpoint, Identity, Machine, State
from dsenv.providers.base import CanAudit, CanResize, CanStop, HasPrice, Provider, Spec
from dsenv.runs.record import Record
from dsenv.runs.store.folder import FolderStore
from dsenv.sync.follow import Control
from dsenv.transports.base import Stream
from dsenv.workflows import down, lock, run, up
from dsenv.workflows.target import Target


class ProviderConformance:
    """What every provider does. Names of tests are sentences of the contract."""

    @pytest.fixture
    def provider(self) -> Provider:
        """The provider, able to work here."""
        raise NotImplementedError

    @pytest.fixture
    def settings(self) -> Workstation:
        """Settings with which it makes workstations that are cheap and quick."""
        return Workstation()

    @pytest.fixture
    def spec(self, identity: Identity, settings: Workstation) -> Spec:
        return Spec(identity, settings)

    @pytest.fixture
    def bigger(self) -> Workstation | None:
        """Settings of a larger workstation, where it can be resized. None: that is not tried."""
        return None

    def lose(self) -> None:
        """Forget all that is remembered here of workstations, as a new laptop would.

        For providers that keep the workstation itself somewhere else, keys are lost too.
        """
        shutil.rmtree(paths.state_dir(), ignore_errors=True)

    @pytest.fixture
    def identity(self, tmp_path: Path) -> Identity:
        return Identity(tmp_path, "conformance", "one")

    @pytest.fixture
    def machine(self, provider: Provider, spec: Spec) -> Iterator[Machine]:
        try:
            yield provider.create(spec, events.ignore)
        finally:
            found = provider.find(spec.identity)
            if found is not None:
                provider.destroy(found, events.ignore)

    def test_it_can_work_here(self, provider: Provider) -> None:
        assert provider.check() == []
        assert provider.name

    def test_what_was_never_made_is_not_found(self, provider: Provider, identity: Identity) -> None:
        assert provider.find(identity) is None

    def test_a_new_workstation_runs_and_answers(self, provider: Provider, machine: Machine, identity: Identity) -> None:
        assert (machine.state, machine.identity, machine.provider) == (State.RUNNING, identity, provider.name)
        assert machine.endpoint is not None
        with provider.transport(machine) as transport:
            assert transport.run(["pwd"]).stdout.decode().rstrip() == machine.home
            version = transport.run([machine.python, "-I", "-S", "-c", "import sys; print(sys.version_info >= (3, 9))"])
            assert version.stdout == b"True\n"

    def test_it_is_found_and_listed(self, provider: Provider, machine: Machine, identity: Identity) -> None:
        assert provider.find(identity) == machine
        assert provider.refresh(machine) == machine
        assert machine in provider.machines()
        assert provider.find(Identity(identity.root, identity.project, "other")) is None

    def test_creating_again_keeps_everything(self, provider: Provider, spec: Spec, machine: Machine) -> None:
        with provider.transport(machine) as transport:
            transport.put(b"precious", "file")
        again = provider.create(spec, events.ignore)
        assert again == machine
        with provider.transport(again) as transport:
            assert transport.get("file") == b"precious"

    def test_it_is_found_after_the_local_state_is_lost(self, provider: Provider, spec: Spec, machine: Machine) -> None:
        with provider.transport(machine) as transport:
            transport.put(b"precious", "file")
        self.lose()
        found = provider.find(spec.identity)
        assert found is not None
        assert (found.identity, found.created) == (machine.identity, machine.created)
        assert [item.identity for item in provider.machines()] == [machine.identity]
        again = provider.create(spec, events.ignore)
        with provider.transport(again) as transport:
            assert transport.get("file") == b"precious"

    def test_it_is_destroyed_after_the_local_state_is_lost(
        self, provider: Provider, spec: Spec, machine: Machine
    ) -> None:
        self.lose()
        found = provider.find(spec.identity)
        assert found is not None
        provider.destroy(found, events.ignore)
        assert provider.find(spec.identity) is None

    def test_what_it_holds_is_known_to_an_audit(self, provider: Provider, machine: Machine) -> None:
        if not isinstance(provider, CanAudit):
            pytest.skip("it holds nothing in an account")
        own = [item for item in provider.audit() if item.workstation == machine.identity.id]
        assert own
        assert [item.orphan for item in own if item.orphan] == []
        provider.destroy(machine, events.ignore)
        assert [item for item in provider.audit() if item.workstation == machine.identity.id] == []

    def test_it_has_a_price(self, provider: Provider, machine: Machine) -> None:
        if not isinstance(provider, HasPrice):
            pytest.skip("it costs nothing")
        price = provider.price(machine)
        assert price is not None
        assert price.per_hour > price.stopped_per_hour >= 0
        assert price.so_far >= 0

    def test_resizing_keeps_files(
        self, provider: Provider, spec: Spec, machine: Machine, bigger: Workstation | None
    ) -> None:
        if not isinstance(provider, CanResize) or bigger is None:
            pytest.skip("its workstations cannot be resized")
        with provider.transport(machine) as transport:
            transport.put(b"precious", "file")
        wanted = Spec(spec.identity, bigger)
        resized = provider.resize(machine, wanted, events.ignore)
        assert resized.state is State.RUNNING
        assert resized.note != machine.note
        assert provider.resize(resized, wanted, events.ignore) == resized
        with provider.transport(resized) as transport:
            assert transport.get("file") == b"precious"

    def test_an_environment_is_on_it_and_a_run_leaves_its_record(
        self, provider: Provider, settings: Workstation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The whole of `lock`, `up`, `run` and `down`. Needs the package index, here and there."""
        target = _project(provider, settings, tmp_path / "project", monkeypatch)
        console = _Console()
        try:
            ready = up.up(target, emit=events.ignore, cancel=Cancel())
            assert ready.environment
            command = run.Command(["python", "job.py"], stdin=False)
            ran = run.run(target, command, console, emit=events.ignore, cancel=Cancel())
            assert (ran.exit, console.said["stdout"]) == (1, f"{ready.environment} 3.11\n".encode())
            assert b"LookupError: content" in console.said["stderr"]
            assert ran.store
            record = Record(FolderStore(Path(ran.store)), ran.id)
            assert record.complete
            found = record.data["signature"]
            assert found is not None
            assert found["type"] == "LookupError"
            lock_id = lockfile.read(target.project.lock_file).id
            assert (record.data["environment"]["lock_id"], record.data["environment"]["satisfied"]) == (lock_id, True)
            assert (target.project.root / "outputs/out.txt").read_text() == "made there"
        finally:
            down.down(target, emit=events.ignore, cancel=Cancel())
        assert target.find() is None

    def test_two_workstations_are_apart(
        self, provider: Provider, settings: Workstation, machine: Machine, identity: Identity
    ) -> None:
        second = Identity(identity.root, identity.project, "two")
        other = provider.create(Spec(second, settings), events.ignore)
        try:
            with provider.transport(machine) as transport:
                transport.put(b"x", "file")
            with provider.transport(other) as transport:
                assert transport.run(["test", "-e", "file"]).code == 1
            assert other.endpoint
            assert machine.endpoint
            if _where(other.endpoint) != _where(machine.endpoint):  # else it is one machine with two homes
                assert other.endpoint.host_key != machine.endpoint.host_key
        finally:
            provider.destroy(other, events.ignore)
        assert provider.refresh(machine).state is State.RUNNING

    def test_destroying_is_final_and_may_be_repeated(self, provider: Provider, spec: Spec) -> None:
        machine = provider.create(spec, events.ignore)
        with provider.transport(machine) as transport:
            transport.put(b"x", "file")
        provider.destroy(machine, events.ignore)
        provider.destroy(machine, events.ignore)
        assert provider.find(spec.identity) is None
        with pytest.raises(WorkstationNotReadyError):
            provider.refresh(machine)
        fresh = provider.create(spec, events.ignore)
        try:
            with provider.transport(fresh) as transport:
                assert transport.run(["test", "-e", "file"]).code == 1
        finally:
            provider.destroy(fresh, events.ignore)

    def test_stopping_and_starting_keeps_files_and_identity(self, provider: Provider, machine: Machine) -> None:
        if not isinstance(provider, CanStop):
            pytest.skip("its workstations cannot be stopped")
        with provider.transport(machine) as transport:
            transport.put(b"precious", "file")
        stopped = provider.stop(machine, events.ignore)
        assert (stopped.state, stopped.endpoint) == (State.STOPPED, None)
        assert provider.stop(stopped, events.ignore).state is State.STOPPED
        with pytest.raises(WorkstationNotReadyError):
            provider.transport(stopped)
        started = provider.start(stopped, events.ignore)
        assert provider.start(started, events.ignore).state is State.RUNNING
        with provider.transport(started) as transport:
            assert transport.get("file") == b"precious"


def _where(endpoint: Endpoint) -> tuple[str, int, tuple[str, ...]]:
    return endpoint.host, endpoint.port, endpoint.proxy


_JOB = """
import os, sys, packaging
os.makedirs("outputs")
open("outputs/out.txt", "w").write("made there")
print(sys.prefix, "%d.%d" % sys.version_info[:2])
raise LookupError(open("data").read())
"""


def _project(provider: Provider, settings: Workstation, root: Path, monkeypatch: pytest.MonkeyPatch) -> Target:
    """A project with a lock of one package, in the working folder."""
    root.mkdir()
    (root / "dsenv.toml").write_text('[project]\nname = "whole"\n[environment]\npython = "3.11"\n')
    (root / "requirements.txt").write_text("packaging\n")
    (root / "job.py").write_text(_JOB)
    (root / "data").write_text("content")
    monkeypatch.chdir(root)
    project = load.load(root)
    lock.lock(project, emit=events.ignore, cancel=Cancel())
    return Target(project, settings, provider, Identity(root, "whole", "default"))


class _Console:
    """Keeps what a run writes."""

    def __init__(self) -> None:
        self.said = {"stdout": b"", "stderr": b""}

    def write(self, stream: Stream, data: bytes) -> None:
        self.said[stream] += data

    def attach(self, control: Control) -> None:
        """Nobody controls it."""
