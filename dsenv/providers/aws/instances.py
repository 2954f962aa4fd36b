"""Instances: found by id or by tag, waited for, switched on and off."""

from __future__ import annotations

import datetime
import re
import time
from collections.abc import Callable, Collection
from typing import Any

from dsenv.errors import ProviderError
from dsenv.events import Emit, Progress
from dsenv.models.machine import Identity, State
from dsenv.providers.aws import tags
from dsenv.providers.aws.cloud import Cloud
from dsenv.providers.aws.errors import AwsError

Instance = dict[str, Any]
# An instance that was made just now may be unknown for some seconds to calls that ask for it.
SETTLE_SECONDS = 30.0
_WAIT_SECONDS = 600.0
_STATES = {
    "pending": State.STARTING,
    "running": State.RUNNING,
    "stopping": State.STOPPING,
    "stopped": State.STOPPED,
}
GONE = frozenset({"shutting-down", "terminated"})


def state_name(instance: Instance) -> str:
    """AWS's word for what it is doing."""
    return str(instance.get("State", {}).get("Name", ""))


def state(instance: Instance) -> State:
    """Ours; one that is being terminated, or was, is half a workstation."""
    return _STATES.get(state_name(instance), State.CRASHED)


def by_id(cloud: Cloud, instance: str, *, since: int = 0) -> Instance | None:
    """The instance, or None when AWS does not know it.

    `since`: when it was made, in microseconds; soon after that "unknown" is not believed at once.
    """
    while True:
        try:
            answer = cloud.ec2("describe_instances", "cannot look at the instance", InstanceIds=[instance])
            found = [item for group in answer["Reservations"] for item in group["Instances"]]
            if found:
                return dict(found[0])
        except AwsError as error:
            if not error.absent:
                raise
        if time.time() - since / 1e6 > SETTLE_SECONDS:
            return None
        time.sleep(0.5)


def by_tag(cloud: Cloud, identity: Identity, owner: str = "") -> list[Instance]:
    """The instances of a workstation, those that are gone too; the one that counts first.

    Of several live ones it is the oldest, by a tag that two makers see alike. With `owner`, only that one's.
    """
    items = cloud.pages(
        "describe_instances",
        "Reservations",
        "cannot look for the instance",
        Filters=tags.of_workstation(identity),
    )
    found = [instance for group in items for instance in group["Instances"]]
    if owner:
        found = [item for item in found if tags.same_owner(tags.decoded(tags.plain(item).get(tags.OWNER, "")), owner)]
    return sorted(found, key=_order)


def _order(instance: Instance) -> tuple[bool, int, str]:
    read = tags.Tags.read(instance)
    return state_name(instance) in GONE, read.created if read else 0, str(instance["InstanceId"])


def wait(
    cloud: Cloud,
    instance: str,
    wanted: Collection[str],
    emit: Emit,
    step: str,
    *,
    timeout: float = _WAIT_SECONDS,
    failing: Collection[str] = (),
) -> Instance:
    """The instance once it is in one of the states `wanted`. Raises ProviderError when it gets into `failing`, is
    gone or takes longer than `timeout` seconds."""
    begun, pause, moved = time.monotonic(), 0.2, False
    while True:
        seconds = time.monotonic() - begun
        found = by_id(cloud, instance, since=int((time.time() - min(seconds, SETTLE_SECONDS)) * 1e6))
        name = state_name(found) if found else "terminated"
        if found and name in wanted:
            return found
        moved = moved or name not in failing
        # What is asked right after a change may still tell the state before it.
        if name in GONE or (name in failing and (moved or seconds > SETTLE_SECONDS)):
            raise ProviderError(
                f"the instance {instance} is {name} instead of {' or '.join(sorted(wanted))}",
                hint="dsenv up",
                detail=reason(found or {}) or None,
            )
        if seconds > timeout:
            raise ProviderError(
                f"the instance {instance} is still {name} after {timeout:.0f} s",
                hint=f"look at {cloud.console(instance)}, then repeat the command",
            )
        emit(Progress(step, int(seconds), 0, "s"))
        time.sleep(pause)
        pause = min(pause * 1.3, 3.0)


def reason(instance: Instance) -> str:
    """Why it is in the state in which it is, in the words of AWS."""
    return str(instance.get("StateReason", {}).get("Message") or instance.get("StateTransitionReason") or "")


def switched_off_by_aws(instance: Instance) -> str:
    """What AWS did to it of its own accord, for people; empty when it was the user or the machine itself."""
    code = str(instance.get("StateReason", {}).get("Code", ""))
    if code.startswith("Server.Spot"):
        return "AWS has taken the spot instance back"
    return f"AWS has switched it off: {reason(instance)}" if code.startswith("Server.") else ""


def stop(cloud: Cloud, instance: Instance, emit: Emit) -> Instance:
    """Switch it off and wait for that. Stopped already is success."""
    name = str(instance["InstanceId"])
    if state_name(instance) == "pending":
        instance = wait(cloud, name, {"running", "stopping", "stopped"}, emit, "stop")
    if state_name(instance) == "running":
        cloud.ec2("stop_instances", f"cannot stop the instance {name}", InstanceIds=[name])
    return wait(cloud, name, {"stopped"}, emit, "stop")


def start(cloud: Cloud, instance: Instance, emit: Emit, before: Callable[[Instance], None]) -> Instance:
    """Switch it on and wait for that; `before` is called with the stopped instance. Running already is success."""
    name = str(instance["InstanceId"])
    if state_name(instance) == "stopping":
        instance = wait(cloud, name, {"stopped"}, emit, "instance")
    if state_name(instance) == "stopped":
        before(instance)
        cloud.ec2("start_instances", f"cannot start the instance {name}", InstanceIds=[name])
    return wait(cloud, name, {"running"}, emit, "instance", failing={"stopped", "stopping"})


def launched(instance: Instance) -> int:
    """When it was switched on last, in microseconds since the epoch."""
    return _micros(instance["LaunchTime"])


def stopped_at(instance: Instance) -> int | None:
    """When it was switched off, in microseconds since the epoch; None where it went off by itself."""
    found = re.search(
        r"\((\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (?:GMT|UTC)\)", str(instance.get("StateTransitionReason", ""))
    )
    if not found:
        return None
    moment = datetime.datetime.strptime(found[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=datetime.UTC)
    return _micros(moment)


def _micros(moment: datetime.datetime) -> int:
    return int(moment.timestamp() * 1e6)
