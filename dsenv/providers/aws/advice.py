"""What `dsenv doctor` says of the account: permissions, quotas and prices, for the workstations of the project here."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from dsenv import events
from dsenv.config import load
from dsenv.config.schema import Workstation
from dsenv.errors import ConfigError, ProviderError
from dsenv.models.machine import Advice, Identity, Needs
from dsenv.providers.aws import check, choice, images, instances, launch, network, permissions, quotas, tags
from dsenv.providers.aws import saved as saves
from dsenv.providers.aws.choice import Type
from dsenv.providers.aws.cloud import Cloud
from dsenv.providers.aws.errors import DENIED, POLICY, AwsError
from dsenv.providers.aws.permissions import Trial
from dsenv.providers.aws.prices import Prices
from dsenv.providers.size import parse

_UNTRIED = "whether you may stop, resize and destroy them is asked when there is one"


def advice(cloud_of: Callable[[str, str], Cloud]) -> list[Advice]:
    """Of each region and profile that the project here uses. Raises ProviderError when AWS cannot be asked."""
    found: list[Advice] = []
    wanted = check.wanted()
    for region, profile in sorted({check.place(item) for item in wanted.values()}):
        here = {name: item for name, item in wanted.items() if check.place(item) == (region, profile)}
        found += _Place(cloud_of(region, profile), here).advice()
    return found


@dataclasses.dataclass(frozen=True)
class _Wanted:
    """A workstation of the project, and what it would be made of."""

    identity: Identity
    settings: Workstation
    kind: Type


class _Place:
    """One region with one profile."""

    def __init__(self, cloud: Cloud, wanted: dict[str, Workstation]) -> None:
        self._cloud, self._settings = cloud, wanted
        self._instances = self._all_instances()
        self._ours = [item for item in self._instances if tags.ID in tags.plain(item)]

    def advice(self) -> Iterator[Advice]:
        wanted: list[_Wanted] = []
        for name, settings in self._settings.items():
            try:
                wanted.append(_Wanted(_identity(name), settings, self._kind(settings)))
            except (ProviderError, ConfigError) as error:
                yield Advice("fix", f"{name}: {error.message}", error.hint or "")
        yield from self._permissions(wanted)
        yield from self._prices()
        running = [item for item in self._instances if instances.state_name(item) in {"pending", "running"}]
        there = {tags.plain(item).get(tags.ID) for item in running}
        wishes = [
            quotas.Wish(
                item.identity.name, item.kind.name, item.kind.cpus, item.settings.spot, item.identity.id in there
            )
            for item in wanted
        ]
        yield from quotas.advice(self._cloud, running, wishes)

    def _all_instances(self) -> list[dict[str, Any]]:
        """Of everybody in the account: quotas count them all."""
        alive = [{"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]}]
        groups = self._cloud.pages("describe_instances", "Reservations", "cannot look at the instances", Filters=alive)
        return [item for group in groups for item in group["Instances"]]

    def _kind(self, settings: Workstation) -> Type:
        if settings.instance_type:
            return choice.given(self._cloud, settings.instance_type)
        prices = Prices(self._cloud)
        return choice.cheapest(self._cloud, prices, parse(settings.size), Needs(), events.ignore)[0]

    def _permissions(self, wanted: list[_Wanted]) -> Iterator[Advice]:
        trials: list[Trial] = list(permissions.LOOKING)
        if any(item.settings.spot for item in wanted):
            kind = wanted[0].kind.name
            trials.append(
                (
                    "ec2:DescribeSpotPriceHistory",
                    "describe_spot_price_history",
                    {"InstanceTypes": [kind], "MaxResults": 1},
                )
            )
        for item in wanted:
            try:
                trials += self._making(item)
            except AwsError as error:
                yield Advice("fix", f"{item.identity.name}: {error.message}", error.hint or POLICY)
            except ProviderError as error:
                yield Advice("fix", f"{item.identity.name}: {error.message}", error.hint or "")
        if self._ours:
            trials += permissions.of_instance(str(self._ours[0]["InstanceId"]))
        trials += permissions.of_group(group) if (group := self._group()) else ()
        refused = list(permissions.advice(self._cloud, trials, permissions.FOR_AUDIT))
        yield from dict.fromkeys(refused)
        if not refused:
            rest = "" if self._ours else f"; {_UNTRIED}"
            yield Advice("ok", f"you may make workstations in {self._cloud.region}{rest}")

    def _making(self, item: _Wanted) -> list[Trial]:
        """The calls that would make it, as they would be made. Raises ProviderError."""
        settings, kind = item.settings, item.kind
        architecture = "aarch64" if "arm64" in kind.architectures else "x86_64"
        image = images.find(self._cloud, settings.image, images.default_os(settings.access), architecture)
        subnets = network.subnets(self._cloud, settings.subnet)
        marked = tags.Tags(
            item.identity, self._cloud.owner, int(time.time() * 1e6), user=image.user, access=saves.access(settings)
        )
        wanted = launch.Launch(marked, image, b"", settings.security_group or "")
        place = launch.Place(kind.name, network.offering(self._cloud, subnets, kind.name)[0], settings.spot)
        trials: list[Trial] = [("ec2:RunInstances", "run_instances", launch.parameters(wanted, place, settings))]
        if not settings.security_group:
            words = {
                "GroupName": f"{network.group_name(marked)}-trial",
                "Description": "dsenv: not made",
                "VpcId": subnets[0].vpc,
                "TagSpecifications": marked.specification("security-group"),
            }
            trials.append(("ec2:CreateSecurityGroup", "create_security_group", words))
        return trials

    def _group(self) -> str:
        """A security group of ours, if there is one."""
        try:
            found = self._cloud.ec2("describe_security_groups", "cannot look at the groups", Filters=list(tags.OURS))
        except AwsError:
            return ""  # it is among the trials
        return next((str(item["GroupId"]) for item in found["SecurityGroups"]), "")

    def _prices(self) -> Iterator[Advice]:
        try:
            self._cloud.call(
                "pricing", "get_products", "cannot look at the prices", ServiceCode="AmazonEC2", MaxResults=1
            )
        except AwsError as error:
            why = f"{error.message}: instance types are chosen by a rough order, and costs are not shown"
            yield Advice("note", why, POLICY if error.code in DENIED else error.hint or "")


def _identity(name: str) -> Identity:
    project = load.load_if_any()
    if project is None:
        return Identity(Path.cwd(), "project", name)
    return Identity(project.root, project.config.project.name, name)
