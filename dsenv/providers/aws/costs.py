"""What a workstation costs an hour, and what it has cost: the times it ran are summed in a tag of its instance."""

from __future__ import annotations

import time

from dsenv.errors import ProviderError
from dsenv.models.machine import Price
from dsenv.providers.aws import instances, tags
from dsenv.providers.aws.cloud import Cloud
from dsenv.providers.aws.found import Found
from dsenv.providers.aws.instances import Instance
from dsenv.providers.aws.prices import Prices

_MEASURED_SECONDS = 300
_MEASURES_KEPT_SECONDS = 62 * 86400  # AWS forgets them after 63 days
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
    hour += _address(prices, instance)
    return Price(
        per_hour=hour + disk,
        stopped_per_hour=disk,
        so_far=_spent(there.cloud, instance, hour) + disk * age,
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
    spent = _spent(cloud, instance, hour + _address(prices, instance))
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


def _address(prices: Prices, instance: Instance) -> float:
    """Its public address, which it has while it runs."""
    public = tags.plain(instance).get(tags.ACCESS) == "public" or bool(instance.get("PublicIpAddress"))
    return prices.address() if public else 0.0


def _spent(cloud: Cloud, instance: Instance, hour: float) -> float:
    """Until now, or until it was stopped."""
    before, until = (tags.plain(instance).get(SPENT) or "0 0").split()
    begun = instances.launched(instance)
    if int(until) >= begun:
        return float(before)
    running = instances.state_name(instance) in {"pending", "running"}
    end = int(time.time() * 1e6) if running else instances.stopped_at(instance) or _last_seen(cloud, instance, begun)
    return float(before) + max(0, end - begun) / 3.6e9 * hour


def _last_seen(cloud: Cloud, instance: Instance, begun: int) -> int:
    """When it went off by itself, which AWS does not say: until then it was measured, every five minutes.

    Microseconds since the epoch; `begun` where that is not known.
    """
    now = time.time()
    what = {"Name": "InstanceId", "Value": str(instance["InstanceId"])}
    metric = {"Namespace": "AWS/EC2", "MetricName": "CPUUtilization", "Dimensions": [what]}
    try:
        answer = cloud.call(
            "cloudwatch",
            "get_metric_data",
            "cannot look at how long the instance ran",
            MetricDataQueries=[
                {"Id": "cpu", "MetricStat": {"Metric": metric, "Period": _MEASURED_SECONDS, "Stat": "SampleCount"}}
            ],
            StartTime=max(begun / 1e6 // _MEASURED_SECONDS * _MEASURED_SECONDS, now - _MEASURES_KEPT_SECONDS),
            EndTime=now + _MEASURED_SECONDS,  # what was measured in this very second as well
            ScanBy="TimestampDescending",
            MaxDatapoints=1,
        )
    except ProviderError:
        return begun
    moments = answer["MetricDataResults"][0]["Timestamps"]
    return int(min(moments[0].timestamp() + _MEASURED_SECONDS, now) * 1e6) if moments else begun


def _disks(cloud: Cloud, prices: Prices, instance: Instance) -> float | None:
    wanted = [{"Name": "attachment.instance-id", "Values": [str(instance["InstanceId"])]}]
    volumes = cloud.ec2("describe_volumes", "cannot look at the disk", Filters=wanted)["Volumes"]
    costs = [prices.disk(int(item["Size"]), str(item["VolumeType"])) for item in volumes]
    return sum(cost for cost in costs if cost is not None) if None not in costs else None
