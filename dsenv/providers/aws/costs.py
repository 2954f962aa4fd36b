"""What a workstation costs an hour, and what it has cost: the times it ran are summed in a tag of its instance."""

from __future__ import annotations

import time

from dsenv.models.machine import Price
from dsenv.providers.aws import instances, tags
from dsenv.providers.aws.cloud import Cloud
from dsenv.providers.aws.found import Found
from dsenv.providers.aws.instances import Instance
from dsenv.providers.aws.prices import Prices

SPENT = "dsenv:spent"  # dollars for the instance itself, and the launch time (microseconds) up to whose end they count


def price(there: Found) -> Price | None:
    """None where AWS does not tell the prices, or there is no instance."""
    instance = there.instance
    if instance is None or instances.state_name(instance) in instances.GONE:
        return None
    prices = Prices(there.cloud)
    hour, disk = _hour(prices, instance), _disks(there.cloud, prices, instance)
    if hour is None or disk is None:
        return None
    age = max(0.0, time.time() - there.tags.created / 1e6) / 3600
    address = prices.address() if instance.get("PublicIpAddress") else 0.0
    return Price(
        per_hour=hour + disk + address,
        stopped_per_hour=disk,
        so_far=_spent(instance, hour + address) + disk * age,
    )


def account(cloud: Cloud, instance: Instance) -> None:
    """Write down what the time that ended with the last stop has cost, before the next start makes AWS forget it.

    Safe to repeat. Nothing is written where prices are not told.
    """
    prices = Prices(cloud)
    hour = _hour(prices, instance)
    if hour is None:
        return
    name, begun = str(instance["InstanceId"]), instances.launched(instance)
    spent = _spent(instance, hour + prices.address())
    value = f"{spent:.6f} {begun}"
    cloud.ec2(
        "create_tags",
        f"cannot tag the instance {name}",
        Resources=[name],
        Tags=[{"Key": SPENT, "Value": value}],
    )


def _hour(prices: Prices, instance: Instance) -> float | None:
    kind = str(instance["InstanceType"])
    if instance.get("InstanceLifecycle") == "spot":
        return prices.spot(kind, str(instance["Placement"]["AvailabilityZone"]))
    return prices.instance(kind)


def _spent(instance: Instance, hour: float) -> float:
    """Until now, or until it was stopped."""
    before, until = (tags.plain(instance).get(SPENT) or "0 0").split()
    begun = instances.launched(instance)
    if int(until) >= begun:
        return float(before)
    running = instances.state_name(instance) in {"pending", "running"}
    end = int(time.time() * 1e6) if running else instances.stopped_at(instance) or begun
    return float(before) + max(0, end - begun) / 3.6e9 * hour


def _disks(cloud: Cloud, prices: Prices, instance: Instance) -> float | None:
    wanted = [{"Name": "attachment.instance-id", "Values": [str(instance["InstanceId"])]}]
    volumes = cloud.ec2("describe_volumes", "cannot look at the disk", Filters=wanted)["Volumes"]
    costs = [prices.disk(int(item["Size"]), str(item["VolumeType"])) for item in volumes]
    return sum(cost for cost in costs if cost is not None) if None not in costs else None
