"""A provider for tests that needs nothing: its workstations are folders, and its account is a list in memory."""

from __future__ import annotations

import dataclasses
import shutil
import sys
import time
from collections.abc import Collection
from pathlib import Path
from typing import ClassVar

from dsenv.config.schema import Workstation
from dsenv.errors import ProviderError, WorkstationNotReadyError
from dsenv.events import Emit
from dsenv.models.machine import Endpoint, Identity, Limits, Machine, Price, Problem, Resource, State
from dsenv.providers.base import CanAudit, CanResize, CanStop, HasPrice, Provider, Spec
from dsenv.testing.workstation import ModuleTransport
from dsenv.transports.base import Transport


class FakeProvider(Provider, CanStop, CanResize, HasPrice, CanAudit):
    """Keeps everything in `folder` and in itself; the machines share no files with this one, as far as anyone knows.

    `extra` are resources that its account holds besides; `problems` is what `check` answers.
    """

    name: ClassVar[str] = "fake"
    owns_machines: ClassVar[bool] = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: dict[str, Machine] = {}
        self.specs: list[Spec] = []
        self.extra: list[Resource] = []
        self.problems: list[Problem] = []

    def check(self) -> list[Problem]:
        return list(self.problems)

    def find(self, identity: Identity) -> Machine | None:
        return self.made.get(identity.id)

    def machines(self) -> list[Machine]:
        return list(self.made.values())

    def create(self, spec: Spec, emit: Emit) -> Machine:
        self.specs.append(spec)
        identity = spec.identity
        home = self.folder / identity.id
        home.mkdir(parents=True, exist_ok=True)
        before = self.made.get(identity.id)
        endpoint = Endpoint("203.0.113.1", 22, "fake", home / "key", f"ssh-ed25519 {identity.id}", identity.alias)
        self.made[identity.id] = Machine(
            identity=identity,
            provider=self.name,
            state=State.RUNNING,
            alias=identity.alias,
            created=before.created if before else int(time.time() * 1e6),
            home=str(home),
            python=sys.executable,
            shares_files=False,
            endpoint=endpoint,
            note=_size(spec.settings),
            limits=Limits(spec.settings.idle_stop_minutes * 60, int(spec.settings.max_hours * 3600)),
        )
        return self.made[identity.id]

    def refresh(self, machine: Machine) -> Machine:
        found = self.find(machine.identity)
        if found is None:
            raise WorkstationNotReadyError(f"the workstation {machine.identity.name} is gone", hint="dsenv up")
        return found

    def destroy(self, machine: Machine, emit: Emit) -> None:
        self.made.pop(machine.identity.id, None)
        shutil.rmtree(self.folder / machine.identity.id, ignore_errors=True)

    def transport(self, machine: Machine) -> Transport:
        if self.refresh(machine).state is not State.RUNNING:
            raise WorkstationNotReadyError(f"the workstation {machine.identity.name} is off", hint="dsenv up")
        return ModuleTransport(Path(machine.home))

    def stop(self, machine: Machine, emit: Emit) -> Machine:
        return self._become(machine, state=State.STOPPED, endpoint=None)

    def start(self, machine: Machine, emit: Emit) -> Machine:
        return self.create(Spec(machine.identity, Workstation(provider="docker", size=machine.note or None)), emit)

    def resize(self, machine: Machine, spec: Spec, emit: Emit) -> Machine:
        if spec.settings.size == "cpu=1000":
            raise ProviderError("there is no such size", hint="dsenv resize --size cpu=2")
        return self._become(machine, note=_size(spec.settings))

    def price(self, machine: Machine) -> Price | None:
        return Price(per_hour=0.5, stopped_per_hour=0.01, so_far=1.25)

    def audit(self, regions: Collection[str] = ()) -> list[Resource]:
        own = [
            Resource(
                provider=self.name,
                region="here",
                kind="instance",
                id=f"i-{item.identity.id}",
                state=item.state.value,
                workstation=item.identity.id,
                project=item.identity.project,
                name=item.identity.name,
                created=item.created,
                per_hour=0.5,
            )
            for item in self.machines()
        ]
        return [*own, *self.extra]

    def remove(self, resource: Resource, emit: Emit) -> None:
        if resource.state == "stuck":
            raise ProviderError(f"{resource.id} is in use by someone else")
        self.extra = [item for item in self.extra if item != resource]

    def _become(self, machine: Machine, **changes: object) -> Machine:
        self.made[machine.identity.id] = dataclasses.replace(self.refresh(machine), **changes)  # type: ignore[arg-type]
        return self.made[machine.identity.id]


def _size(settings: Workstation) -> str:
    return settings.size or settings.instance_type or ""
