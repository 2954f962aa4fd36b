"""RunInstances: in which zone, at which price, and never twice."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Iterator
from typing import Any

from dsenv.config.schema import Workstation
from dsenv.errors import ProviderError
from dsenv.events import Emit, Notice
from dsenv.providers.aws import choice, instances, network
from dsenv.providers.aws.cloud import Cloud
from dsenv.providers.aws.errors import CAPACITY, SPOT, AwsError
from dsenv.providers.aws.images import Image
from dsenv.providers.aws.instances import Instance
from dsenv.providers.aws.network import Subnet
from dsenv.providers.aws.saved import Saved
from dsenv.providers.aws.tags import Tags

_KINDS = ("instance", "volume", "network-interface")
_UNKNOWN_OUTCOME = frozenset(
    {"Unreachable", "Garbage", "InternalError", "Unavailable", "ServiceUnavailable", "Unknown", "500", "503"}
)


@dataclasses.dataclass(frozen=True)
class Place:
    """One way to get the instance."""

    kind: str
    subnet: Subnet
    spot: bool

    def __str__(self) -> str:
        return f"{self.kind} in {self.subnet.zone}{', spot' if self.spot else ''}"


@dataclasses.dataclass(frozen=True)
class Launch:
    """What is the same for all places."""

    tags: Tags
    image: Image
    user_data: bytes
    group: str


def run(
    cloud: Cloud, launch: Launch, places: Iterator[Place], settings: Workstation, saved: Saved, emit: Emit
) -> tuple[Saved, Instance]:
    """Get an instance in the first of the places that has one. Raises ProviderError.

    The call carries a token that is the same for every repetition and every machine that means this workstation,
    and that call's answer is remembered: an instance whose answer was lost is found instead of made again.
    """
    refused: list[str] = []
    last: AwsError | None = None
    spot = True
    for place in places:
        if place.spot and not spot:
            continue
        if not place.spot and settings.spot and spot:
            spot = False
            code = last.code if last else "none is offered"
            emit(Notice(f"no spot instance can be had ({code}); taking one on demand", "warning"))
        try:
            return _once(cloud, launch, place, settings, saved)
        except AwsError as error:
            saved = saved.again()
            if error.code not in CAPACITY and not (place.spot and error.code in SPOT):
                raise
            last = error
            refused.append(f"{place}: {error.code}")
            if error.code in SPOT and spot:
                spot = False
                emit(Notice(f"no spot instance can be had ({error.code}); taking one on demand", "warning"))
    raise ProviderError(
        "AWS has no instance for this workstation just now",
        hint="change `instance_type` (or `size`), `region` or `spot` in dsenv.toml, then: dsenv up",
        detail="\n".join(refused),
    ) from last


def _once(cloud: Cloud, launch: Launch, place: Place, settings: Workstation, saved: Saved) -> tuple[Saved, Instance]:
    """One place. A token that has served before, for an instance that is gone, is replaced by the next."""
    while True:
        token = _token(launch, place, saved.attempt)
        saved = saved.but(asked=int(time.time() * 1e6))
        try:
            answer = cloud.ec2(
                "run_instances",
                f"cannot make an instance ({place})",
                **parameters(launch, place, settings),
                ClientToken=token,
            )
            instance = dict(answer["Instances"][0])
        except AwsError as error:
            if error.code not in _UNKNOWN_OUTCOME:
                saved = saved.but(asked=0)
            if error.code not in {"IdempotentParameterMismatch", "IdempotentInstanceTerminated"}:
                raise
            other = _made_by_others(cloud, launch.tags, token)
            if other is None:
                saved = saved.but(attempt=saved.attempt + 1)
                continue
            instance = other
        if instances.state_name(instance) in instances.GONE:
            saved = saved.but(attempt=saved.attempt + 1, asked=0)
            continue
        now = int(time.time() * 1e6)
        return saved.but(instance=str(instance["InstanceId"]), asked=0, launched=now), instance


def _made_by_others(cloud: Cloud, tags: Tags, token: str) -> Instance | None:
    """The instance that was made with our token and other contents, by another machine or another version of us."""
    deadline = time.monotonic() + instances.SETTLE_SECONDS
    while time.monotonic() < deadline:
        found = instances.by_tag(cloud, tags.identity, tags.owner)
        if found and instances.state_name(found[0]) not in instances.GONE:
            return found[0]
        if any(item.get("ClientToken") == token for item in found):
            return None
        time.sleep(1)
    return None


def places(cloud: Cloud, kinds: list[choice.Type], subnets: list[Subnet], *, spot: bool) -> Iterator[Place]:
    """All ways to get an instance, best first. Raises ProviderError when a type is nowhere."""
    offered: dict[str, list[Subnet]] = {}
    for market in ([True] if spot else []) + [False]:
        for kind in kinds:
            if kind.name not in offered:
                offered[kind.name] = _offered(cloud, subnets, kind, kinds)
            for subnet in offered[kind.name]:
                yield Place(kind.name, subnet, market)


def _offered(cloud: Cloud, subnets: list[Subnet], kind: choice.Type, kinds: list[choice.Type]) -> list[Subnet]:
    try:
        return network.offering(cloud, subnets, kind.name)
    except ProviderError:
        if kind is kinds[-1]:
            raise
        return []


def _token(launch: Launch, place: Place, attempt: int) -> str:
    tags = launch.tags
    parts = [tags.identity.id, tags.owner, launch.group, attempt, place.kind, place.subnet.id, place.spot]
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:48]


def parameters(launch: Launch, place: Place, settings: Workstation) -> dict[str, Any]:
    """The words of RunInstances. Without a group, it is the default one of the VPC."""
    disk = {
        "VolumeSize": max(settings.disk_gb, launch.image.disk_gb),
        "VolumeType": "gp3",
        "Encrypted": True,
        "DeleteOnTermination": True,
    }
    interface = {
        "DeviceIndex": 0,
        "SubnetId": place.subnet.id,
        "Groups": [launch.group],
        "AssociatePublicIpAddress": launch.tags.access == "public",
        "DeleteOnTermination": True,
    }
    wanted: dict[str, Any] = {
        "ImageId": launch.image.id,
        "InstanceType": place.kind,
        "MinCount": 1,
        "MaxCount": 1,
        "UserData": launch.user_data,
        "BlockDeviceMappings": [{"DeviceName": launch.image.root_device, "Ebs": disk}],
        "NetworkInterfaces": [interface],
        "InstanceInitiatedShutdownBehavior": "stop",
        "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 1, "HttpEndpoint": "enabled"},
        "TagSpecifications": launch.tags.specification(*_KINDS),
    }
    if not launch.group:
        del interface["Groups"]
    if settings.key_pair:
        wanted["KeyName"] = settings.key_pair
    if settings.instance_profile:
        kind = "Arn" if settings.instance_profile.startswith("arn:") else "Name"
        wanted["IamInstanceProfile"] = {kind: settings.instance_profile}
    if place.spot:
        # Only an instance of a persistent request can be stopped and keep its disk.
        wanted["InstanceMarketOptions"] = {
            "MarketType": "spot",
            "SpotOptions": {"SpotInstanceType": "persistent", "InstanceInterruptionBehavior": "stop"},
        }
        wanted["TagSpecifications"] += launch.tags.specification("spot-instances-request")
    return wanted
