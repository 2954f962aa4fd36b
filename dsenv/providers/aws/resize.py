"""Another instance type for a workstation that keeps its disk."""

from __future__ import annotations

import dataclasses

from dsenv.errors import DsenvError, ProviderError
from dsenv.events import Emit, Notice, step
from dsenv.models.machine import Needs, State
from dsenv.providers.aws import choice, costs, instances, intent, make, network
from dsenv.providers.aws.found import Found
from dsenv.providers.aws.network import Subnet
from dsenv.providers.aws.prices import Prices
from dsenv.providers.base import Spec
from dsenv.providers.size import parse


def resize(there: Found, spec: Spec, emit: Emit) -> Found:
    """Stop, change, and start if it ran. Raises ProviderError, with the old type kept, when that cannot be had."""
    old = str(there.living["InstanceType"])
    new = _wanted(there, spec, emit)
    ran = instances.state(there.living) in {State.RUNNING, State.STARTING} or intent.is_open(there.living)
    if new == old:  # perhaps by a resize that was killed before it was on again, or answered
        return make.wake(there, emit) if there.mine and ran else there
    if there.living.get("InstanceLifecycle") == "spot":
        raise ProviderError(
            "the type of a spot instance cannot be changed",
            hint="set spot = false, then: dsenv down, dsenv up (its files are lost: bring them here first)",
        )
    if ran:
        make.refuse_without_key(there)
        intent.to_run_again(there.cloud, there.living)
    with step(emit, "resize", f"from {old} to {new}"):
        stopped = dataclasses.replace(there, instance=instances.stop(there.cloud, there.living, emit))
        try:
            _change(stopped, new)
            now = _as_it_was(stopped, ran, emit)
        except DsenvError as error:
            _back(stopped, old, ran, emit)
            raise ProviderError(
                f"the workstation stays a {old}: {error.message}", hint=error.hint, detail=error.detail
            ) from error
    return now


def _wanted(there: Found, spec: Spec, emit: Emit) -> str:
    """The type to have. One that can be had here; else nothing is stopped at all."""
    settings, instance = spec.settings, there.living
    architecture = "aarch64" if instance.get("Architecture") == "arm64" else "x86_64"
    if settings.instance_type:
        kind = choice.given(there.cloud, settings.instance_type)
    else:
        needs: Needs = dataclasses.replace(spec.needs, architecture=architecture)
        kind = choice.cheapest(there.cloud, Prices(there.cloud), parse(settings.size), needs, emit)[0]
    if str(instance.get("Architecture") or "x86_64") not in kind.architectures:
        raise ProviderError(
            f"the disk of the workstation is for {architecture}, the instance type {kind.name} is not",
            hint="change `instance_type` in dsenv.toml, then repeat",
        )
    zone = str(instance["Placement"]["AvailabilityZone"])
    if kind.name != instance["InstanceType"]:
        here = Subnet(str(instance.get("SubnetId", "")), zone, str(instance.get("VpcId", "")))
        network.offering(there.cloud, [here], kind.name)
    return kind.name


def _change(stopped: Found, kind: str) -> None:
    costs.account(stopped.cloud, stopped.living)
    doing = f"cannot make the instance {stopped.name} a {kind}"
    stopped.cloud.ec2("modify_instance_attribute", doing, InstanceId=stopped.name, InstanceType={"Value": kind})


def _as_it_was(stopped: Found, ran: bool, emit: Emit) -> Found:
    now = instances.by_id(stopped.cloud, stopped.name) or stopped.living
    changed = dataclasses.replace(stopped, instance=now)
    return make.wake(changed, emit) if ran else changed


def _back(stopped: Found, old: str, ran: bool, emit: Emit) -> None:
    """The old type again, and running if it ran. What fails here is told besides the error that led here."""
    try:
        now = instances.stop(stopped.cloud, instances.by_id(stopped.cloud, stopped.name) or stopped.living, emit)
        _change(dataclasses.replace(stopped, instance=now), old)
        _as_it_was(stopped, ran, emit)
    except DsenvError as error:
        emit(Notice(f"the workstation could not be brought back as it was: {error.message}; dsenv up", "warning"))
