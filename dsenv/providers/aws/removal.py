"""A workstation is destroyed: everything that carries its tag, in an order that can be repeated from any point."""

from __future__ import annotations

import time
from collections.abc import Collection

from dsenv.errors import ProviderError
from dsenv.events import Emit, Progress, step
from dsenv.providers.aws import instances, tags
from dsenv.providers.aws.cloud import Cloud
from dsenv.providers.aws.errors import AwsError
from dsenv.providers.aws.found import Found
from dsenv.providers.aws.instances import Instance

_GROUP_SECONDS = 120.0
# Requests that would make an instance, or make it again.
LIVE_REQUESTS = ("open", "active", "disabled")


def remove(there: Found, emit: Emit) -> None:
    """Everything of the workstation in its region. Absent is success. Raises ProviderError."""
    cloud, identity, owner = there.cloud, there.tags.identity, there.tags.owner
    with step(emit, "instance", f"destroy {there.name}"):
        found = _instances(there)
        cancel(cloud, _requests(cloud, found, there))
        terminate(cloud, found, emit)
    with step(emit, "rest", "remove what belonged to it"):
        filters = tags.of_workstation(identity)
        volumes = cloud.ec2("describe_volumes", "cannot look for disks", Filters=filters)["Volumes"]
        for volume in _of(volumes, owner):
            if volume["State"] == "available":
                delete_volume(cloud, str(volume["VolumeId"]))
        groups = cloud.ec2("describe_security_groups", "cannot look for security groups", Filters=filters)
        ids = {str(item["GroupId"]) for item in _of(groups["SecurityGroups"], owner)}
        if there.saved and there.saved.group:
            ids.add(there.saved.group)
        for group in sorted(ids):
            delete_group(cloud, group, emit)


def _instances(there: Found) -> list[Instance]:
    """All that are alive, one too that was asked for a moment ago and is not seen yet."""
    deadline = (there.saved.asked / 1e6 + instances.SETTLE_SECONDS) if there.saved and there.saved.asked else 0.0
    while True:
        found = instances.by_tag(there.cloud, there.tags.identity, there.tags.owner)
        ids = {str(item["InstanceId"]) for item in found}
        if there.instance is not None and str(there.instance["InstanceId"]) not in ids:
            found.append(there.instance)
        if found or time.time() > deadline:
            return [item for item in found if instances.state_name(item) != "terminated"]
        time.sleep(1)


def _requests(cloud: Cloud, found: list[Instance], there: Found) -> list[str]:
    """The spot requests that would start an instance again."""
    named = {str(item["SpotInstanceRequestId"]) for item in found if item.get("SpotInstanceRequestId")}
    filters = [*tags.of_workstation(there.tags.identity), {"Name": "state", "Values": list(LIVE_REQUESTS)}]
    answer = cloud.ec2("describe_spot_instance_requests", "cannot look for spot requests", Filters=filters)
    tagged = {str(item["SpotInstanceRequestId"]) for item in _of(answer["SpotInstanceRequests"], there.tags.owner)}
    return sorted(named | tagged)


def _of(items: list[Instance], owner: str) -> list[Instance]:
    read = [(item, tags.Tags.read(item)) for item in items]
    return [item for item, its in read if its is None or tags.same_owner(its.owner, owner)]


def cancel(cloud: Cloud, requests: Collection[str]) -> None:
    """End spot requests; their instances live on. Absent is success."""
    if requests:
        with absent():
            cloud.ec2(
                "cancel_spot_instance_requests", "cannot cancel the spot request", SpotInstanceRequestIds=list(requests)
            )


def terminate(cloud: Cloud, found: list[Instance], emit: Emit) -> None:
    """End instances for good, and wait for it. Absent is success."""
    for instance in found:
        name = str(instance["InstanceId"])
        with absent():
            cloud.ec2("terminate_instances", f"cannot terminate the instance {name}", InstanceIds=[name])
    for instance in found:
        _wait_for_end(cloud, str(instance["InstanceId"]), emit)


def _wait_for_end(cloud: Cloud, name: str, emit: Emit) -> None:
    begun, pause = time.monotonic(), 0.2
    while True:
        now = instances.by_id(cloud, name)
        seconds = time.monotonic() - begun
        if now is None or instances.state_name(now) == "terminated":
            return
        if seconds > 600:
            raise ProviderError(
                f"the instance {name} is still {instances.state_name(now)} after {seconds:.0f} s",
                hint=f"look at {cloud.console(name)}, then: dsenv down",
            )
        emit(Progress("instance", int(seconds), 0, "s"))
        time.sleep(pause)
        pause = min(pause * 1.3, 3.0)


def delete_volume(cloud: Cloud, volume: str) -> None:
    """Absent is success."""
    with absent():
        cloud.ec2("delete_volume", f"cannot delete the disk {volume}", VolumeId=volume)


def delete_group(cloud: Cloud, group: str, emit: Emit) -> None:
    """Absent is success. The interface of a terminated instance may hold it for a while."""
    begun = time.monotonic()
    while True:
        try:
            with absent():
                cloud.ec2("delete_security_group", f"cannot delete the security group {group}", GroupId=group)
            return
        except AwsError as error:
            seconds = time.monotonic() - begun
            if error.code != "DependencyViolation" or seconds > _GROUP_SECONDS:
                raise
            emit(Progress("rest", int(seconds), 0, "s"))
            time.sleep(1)


class absent:  # noqa: N801 - reads as a word in a with statement
    """A with statement in which a thing that is not there is no error."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        return isinstance(error, AwsError) and error.absent
