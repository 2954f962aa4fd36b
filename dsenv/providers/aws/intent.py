"""That an instance is to run again after its resize, in a tag of its own: for whoever comes after a crash."""

from __future__ import annotations

from dsenv.providers.aws import instances, tags
from dsenv.providers.aws.cloud import Cloud
from dsenv.providers.aws.instances import Instance

# The launch (microseconds) in which it was running when the resize began: with the next one the tag means nothing.
RESUME = "dsenv:resume"


def to_run_again(cloud: Cloud, instance: Instance) -> None:
    """Written before a running instance is switched off. Raises ProviderError."""
    _write(cloud, instance, str(instances.launched(instance)))


def is_open(instance: Instance) -> bool:
    """Whether it was switched off by a resize that did not come to its end."""
    off = instances.state_name(instance) in {"stopping", "stopped"}
    return off and tags.plain(instance).get(RESUME) == str(instances.launched(instance))


def settled(cloud: Cloud, instance: Instance) -> None:
    """It runs again, or is to be off from now on. Nothing is written where nothing was."""
    if tags.plain(instance).get(RESUME):
        _write(cloud, instance, "")


def _write(cloud: Cloud, instance: Instance, value: str) -> None:
    name = str(instance["InstanceId"])
    doing = f"cannot tag the instance {name}"
    cloud.ec2("create_tags", doing, Resources=[name], Tags=[{"Key": RESUME, "Value": value}])
