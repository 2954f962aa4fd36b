"""Workstations on EC2, as the rest of dsenv asks for them."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import ClassVar

from dsenv import resources
from dsenv.errors import ProviderError, WorkstationNotReadyError
from dsenv.events import Emit, step
from dsenv.models.machine import Advice, Identity, Machine, Price, Problem, Resource, State
from dsenv.providers import reach
from dsenv.providers.aws import advice, audit, check, cloud, costs, found, instances, intent, make, removal, resize
from dsenv.providers.aws.cloud import Cloud
from dsenv.providers.aws.found import Found
from dsenv.providers.aws.saved import Layout, Saved
from dsenv.providers.base import CanAdvise, CanAudit, CanResize, CanStop, HasPrice, Provider, Spec
from dsenv.transports.base import Transport


class AwsProvider(Provider, CanStop, CanResize, HasPrice, CanAudit, CanAdvise):
    """Instances in the user's account. Nothing of AWS is loaded before it is needed."""

    name: ClassVar[str] = "aws"
    owns_machines: ClassVar[bool] = True

    def __init__(self) -> None:
        self._clouds: dict[tuple[str, str], Cloud] = {}

    def check(self) -> list[Problem]:
        return check.problems(self._cloud)

    def find(self, identity: Identity) -> Machine | None:
        there = self._look(identity)
        return there.machine() if there else None

    def machines(self) -> list[Machine]:
        remembered = Saved.all()
        if not remembered and not cloud.may_have_credentials():
            return []
        listed = {saved.identity: self._look(saved.identity) for saved in remembered}
        try:
            for identity in found.in_region(self._cloud("", "")):
                if identity not in listed:
                    listed[identity] = self._look(identity)
        except ProviderError:
            if not remembered:
                return []  # credentials of AWS are here for something else
            # What is remembered was listed; the region of the profile in use need not be one of ours.
        return [there.machine() for there in listed.values() if there]

    def create(self, spec: Spec, emit: Emit) -> Machine:
        there = self._look(spec.identity)
        settings = spec.settings
        region = self._cloud(settings.region or "", settings.profile or "")
        if there is not None and settings.region and there.cloud.region != settings.region:
            emit(make.elsewhere(there, settings.region))
        there = make.ensure(there.cloud if there else region, there, spec, emit)
        return there.machine()

    def refresh(self, machine: Machine) -> Machine:
        return self._there(machine).machine()

    def destroy(self, machine: Machine, emit: Emit) -> None:
        there = self._look(machine.identity, machine.region)
        if there is not None:
            removal.remove(there, emit)
        self.forget(machine.identity)

    def forget(self, identity: Identity) -> None:
        Layout.of(identity).remove()

    def stop(self, machine: Machine, emit: Emit) -> Machine:
        there = self._with_instance(machine)
        with step(emit, "stop", f"stop {there.name}"):
            intent.settled(there.cloud, there.living)
            stopped = instances.stop(there.cloud, there.living, emit)
        return dataclasses.replace(there, instance=stopped).machine()

    def start(self, machine: Machine, emit: Emit) -> Machine:
        there = self._with_instance(machine)
        return make.wake(there, emit).machine()

    def resize(self, machine: Machine, spec: Spec, emit: Emit) -> Machine:
        return resize.resize(self._with_instance(machine), spec, emit).machine()

    def price(self, machine: Machine) -> Price | None:
        there = self._look(machine.identity, machine.region)
        return costs.price(there) if there else None

    def audit(self, regions: Collection[str] = ()) -> list[Resource]:
        known = {saved.region for saved in Saved.all()}
        return audit.audit(self._cloud, known | set(regions))

    def remove(self, resource: Resource, emit: Emit) -> None:
        audit.remove(self._cloud(resource.region, ""), resource, emit)

    def advice(self) -> list[Advice]:
        return advice.advice(self._cloud)

    def policy(self) -> str:
        return (resources.templates() / "aws" / "policy.json").read_text(encoding="utf-8")

    def transport(self, machine: Machine) -> Transport:
        return reach.over_ssh(machine)

    def reconnect(self, machine: Machine) -> Transport:
        return reach.over_ssh(machine, soon=True)

    # --- what there is

    def _cloud(self, region: str, profile: str) -> Cloud:
        if (region, profile) not in self._clouds:
            like = next((made for (_, name), made in self._clouds.items() if name == profile), None)
            self._clouds[region, profile] = Cloud(region, profile, like)
        return self._clouds[region, profile]

    def _look(self, identity: Identity, region: str = "") -> Found | None:
        saved = Saved.read(Layout.of(identity))
        if saved:
            return found.look(self._cloud(saved.region, saved.profile), identity, saved)
        if not cloud.may_have_credentials():
            return None
        settings = found.settings_of(identity)
        return found.look(self._cloud(region or settings.region or "", settings.profile or ""), identity, None)

    def _there(self, machine: Machine) -> Found:
        there = self._look(machine.identity, machine.region)
        if there is None:
            raise WorkstationNotReadyError(f"the workstation {machine.identity.name} is gone", hint="dsenv up")
        return there

    def _with_instance(self, machine: Machine) -> Found:
        there = self._there(machine)
        if there.instance is None or instances.state(there.instance) is State.CRASHED:
            raise WorkstationNotReadyError(
                f"the workstation {machine.identity.name} has no instance (any more): {there.machine().note}",
                hint=f"dsenv up {machine.identity.name}",
            )
        return there
