"""Everything of dsenv's that the account holds, in all its regions, as the account says."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from dsenv.errors import ProviderError
from dsenv.events import Emit
from dsenv.models.machine import Resource
from dsenv.providers.aws import instances, intent, removal, tags
from dsenv.providers.aws.cloud import Cloud
from dsenv.providers.aws.prices import HOURS_A_MONTH, Prices
from dsenv.providers.base import BROKEN_RESIZE

Item = dict[str, Any]
_THREADS = 16
_SNAPSHOT_MONTH = 0.05  # a gigabyte, in dollars, about
_MAKING_SECONDS = 900  # so long a group may wait for its instance
# kind, call, key of the answer, key of the name, filters are needed beyond the tag
_LISTS: tuple[tuple[str, str, str, str], ...] = (
    ("instance", "describe_instances", "Reservations", "InstanceId"),
    ("disk", "describe_volumes", "Volumes", "VolumeId"),
    ("address", "describe_addresses", "Addresses", "AllocationId"),
    ("security-group", "describe_security_groups", "SecurityGroups", "GroupId"),
    ("key-pair", "describe_key_pairs", "KeyPairs", "KeyPairId"),
    ("snapshot", "describe_snapshots", "Snapshots", "SnapshotId"),
    ("spot-request", "describe_spot_instance_requests", "SpotInstanceRequests", "SpotInstanceRequestId"),
)
_NAMES = {kind: name for kind, _, _, name in _LISTS}


def audit(cloud_of: Callable[[str, str], Cloud], regions: Collection[str]) -> list[Resource]:
    """All of it. Raises ProviderError when any region that is enabled cannot be looked at: half an answer is none."""
    first = cloud_of("", "")
    enabled = first.ec2("describe_regions", "cannot list the regions")["Regions"]
    every = sorted({str(item["RegionName"]) for item in enabled} | set(regions))
    clouds = {name: cloud_of(name, "") for name in every}
    with ThreadPoolExecutor(_THREADS) as pool:
        marked = list(pool.map(lambda name: _has_ours(clouds[name]), every))
        names = [name for name, ours in zip(every, marked, strict=True) if ours]
        tasks = [(name, row) for name in names for row in _LISTS]
        answers = list(pool.map(lambda task: _listed(clouds[task[0]], *task[1][:3]), tasks))
    found: list[Resource] = []
    for name in names:
        here = {row[0]: items for (region, row), items in zip(tasks, answers, strict=True) if region == name}
        if any(here.values()):
            found += _Region(clouds[name], here).resources()
    return found


def _has_ours(cloud: Cloud) -> bool:
    """Whether anything in the region has our tags: most regions are answered by this one call."""
    doing = f"cannot look for what is tagged in {cloud.region}"
    wanted = [{"Name": "key", "Values": [tags.ID]}]
    return any(True for _ in cloud.pages("describe_tags", "Tags", doing, Filters=wanted))


def _listed(cloud: Cloud, kind: str, call: str, key: str) -> list[Item]:
    wanted: dict[str, Any] = {"Filters": list(tags.OURS)}
    if kind == "snapshot":
        wanted["OwnerIds"] = ["self"]
    if kind == "spot-request":
        wanted["Filters"].append({"Name": "state", "Values": list(removal.LIVE_REQUESTS)})
    doing = f"cannot list what is of the kind {kind} in {cloud.region}"
    items = list(cloud.ec2(call, doing, **wanted)[key]) if kind in {"address", "key-pair"} else list(
        cloud.pages(call, key, doing, **wanted)
    )  # fmt: skip
    if kind == "instance":
        items = [instance for group in items for instance in group["Instances"]]
        return [item for item in items if instances.state_name(item) != "terminated"]
    return items


class _Region:
    """What is in one region, and what of it nothing needs."""

    def __init__(self, cloud: Cloud, here: dict[str, list[Item]]) -> None:
        self._cloud, self._here, self._prices = cloud, here, Prices(cloud)
        living = [item for item in here["instance"] if instances.state_name(item) not in instances.GONE]
        self._living = {str(item["InstanceId"]) for item in living}
        self._workstations = {_key(item) for item in living}
        self._first: dict[tuple[str, str], str] = {}
        for item in sorted(living, key=lambda item: (_created(item) or 0, str(item["InstanceId"]))):
            self._first.setdefault(_key(item), str(item["InstanceId"]))

    def resources(self) -> Iterator[Resource]:
        for kind, items in self._here.items():
            for item in items:
                values = tags.plain(item)
                yield Resource(
                    provider="aws",
                    region=self._cloud.region,
                    kind=kind,
                    id=str(item.get(_NAMES[kind]) or item.get("PublicIp", "")),
                    state=_state(kind, item),
                    workstation=values.get(tags.ID, ""),
                    project=values.get("dsenv:project", ""),
                    name=values.get("dsenv:name", ""),
                    created=_created(item),
                    per_hour=self._per_hour(kind, item),
                    orphan=self._orphan(kind, item),
                    note=BROKEN_RESIZE if kind == "instance" and intent.is_open(item) else "",
                )

    def _orphan(self, kind: str, item: Item) -> str:
        """Why nothing needs it. What may still become part of a workstation is no orphan."""
        if kind == "instance":
            first = self._first.get(_key(item))
            twin = first is not None and first != item["InstanceId"] and str(item["InstanceId"]) in self._living
            return f"a second instance of its workstation, which uses {first}" if twin else ""
        if kind == "disk":
            attached = {str(entry.get("InstanceId")) for entry in item.get("Attachments", ())}
            return "" if attached or item.get("State") == "creating" else "no instance has it"
        if kind == "address":
            return "" if item.get("InstanceId") or item.get("AssociationId") else "no instance has it"
        if kind == "spot-request" and item.get("InstanceId") in self._living:
            return ""
        if _key(item) in self._workstations:
            return ""
        young = time.time() - (_created(item) or 0) / 1e6 < _MAKING_SECONDS
        return "" if young else "its workstation has no instance"

    def _per_hour(self, kind: str, item: Item) -> float | None:
        if kind == "instance":
            running = instances.state_name(item) in {"pending", "running"}
            return self._prices.instance(str(item["InstanceType"])) if running else 0.0
        if kind == "disk":
            return self._prices.disk(int(item["Size"]), str(item["VolumeType"]))
        if kind == "address":
            return self._prices.address()
        if kind == "snapshot":
            return int(item["VolumeSize"]) * _SNAPSHOT_MONTH / HOURS_A_MONTH
        return 0.0


def _key(item: Item) -> tuple[str, str]:
    values = tags.plain(item)
    return values.get(tags.ID, ""), values.get(tags.OWNER, "")


def _state(kind: str, item: Item) -> str:
    if kind == "instance":
        return instances.state_name(item)
    if kind == "address":
        return "in-use" if item.get("AssociationId") or item.get("InstanceId") else "available"
    return str(item.get("State", "available"))


def _created(item: Item) -> int | None:
    word = tags.plain(item).get("dsenv:created", "")
    if word.isdecimal():
        return int(word)
    moment = item.get("CreateTime") or item.get("StartTime")
    return int(moment.timestamp() * 1e6) if isinstance(moment, datetime.datetime) else None


def remove(cloud: Cloud, resource: Resource, emit: Emit) -> None:
    """Delete one thing. Absent is success. Raises ProviderError."""
    name = resource.id
    doing = f"cannot delete the {resource.kind} {name}"
    if resource.kind == "instance":
        found = instances.by_id(cloud, name)
        if found is not None:
            removal.cancel(cloud, [item for item in [str(found.get("SpotInstanceRequestId") or "")] if item])
            removal.terminate(cloud, [found], emit)
    elif resource.kind == "disk":
        removal.delete_volume(cloud, name)
    elif resource.kind == "security-group":
        removal.delete_group(cloud, name, emit)
    elif resource.kind == "spot-request":
        removal.cancel(cloud, [name])
    elif resource.kind == "address":
        with removal.absent():
            cloud.ec2("release_address", doing, AllocationId=name)
    elif resource.kind == "key-pair":
        with removal.absent():
            cloud.ec2("delete_key_pair", doing, KeyPairId=name)
    elif resource.kind == "snapshot":
        with removal.absent():
            cloud.ec2("delete_snapshot", doing, SnapshotId=name)
    else:
        raise ProviderError(f"things of the kind {resource.kind} are not known", hint="upgrade dsenv")
