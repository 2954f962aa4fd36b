"""A workstation as the account and this machine know it together."""

from __future__ import annotations

import dataclasses

from dsenv.config import load
from dsenv.config.schema import Workstation
from dsenv.errors import ConfigError, ProviderError
from dsenv.models.machine import Endpoint, Identity, Machine, State
from dsenv.providers.aws import instances, intent, network, session, tags
from dsenv.providers.aws.cloud import Cloud
from dsenv.providers.aws.instances import Instance
from dsenv.providers.aws.saved import Layout, Saved
from dsenv.providers.aws.tags import Tags
from dsenv.providers.base import BROKEN_RESIZE

PYTHON = "/usr/bin/python3"


@dataclasses.dataclass(frozen=True)
class Found:
    """What there is of a workstation. `instance` is None for one that is only half there."""

    cloud: Cloud
    tags: Tags
    saved: Saved | None
    instance: Instance | None

    @property
    def mine(self) -> bool:
        """Whether this machine has the keys that open it."""
        if self.saved is None or not self.saved.host_keys or self.instance is None:
            return False
        return bool(self.tags.keys) and self.tags.keys == self.saved.tags.keys

    @property
    def state(self) -> State:
        if self.instance is None:
            return State.CRASHED
        state = instances.state(self.instance)
        return State.CRASHED if state is State.RUNNING and not self.mine else state

    @property
    def name(self) -> str:
        """Of the instance, for messages."""
        return str(self.instance["InstanceId"]) if self.instance else self.tags.identity.name

    @property
    def living(self) -> Instance:
        """The instance, for callers that have seen that there is one."""
        assert self.instance is not None
        return self.instance

    def machine(self) -> Machine:
        """The value that the rest of dsenv works with."""
        instance, identity = self.instance, self.tags.identity
        running = self.state is State.RUNNING
        user = self.tags.user or "root"
        return Machine(
            identity=identity,
            provider="aws",
            state=self.state,
            alias=identity.alias,
            created=self.tags.created,
            home=f"/home/{user}",
            python=PYTHON,
            shares_files=False,
            endpoint=self._endpoint_if_any() if running else None,
            note=self._note(),
            region=self.cloud.region,
            started=instances.launched(instance) if instance and running else None,
            limits=self.tags.limits,
        )

    def endpoint(self) -> Endpoint:
        """How to reach it now. Raises ProviderError when it has no address."""
        assert self.saved is not None
        assert self.instance is not None
        name = str(self.instance["InstanceId"])
        public = self.tags.access == "public"
        host = str(self.instance.get("PublicIpAddress" if public else "PrivateIpAddress") or "")
        proxy: tuple[str, ...] = ()
        if self.tags.access == "session-manager":
            host, proxy = name, session.command(name, self.cloud.region, self.cloud.profile)
        elif not host:
            raise ProviderError(
                f"the instance {name} has no {'public' if public else 'private'} address",
                hint='set access = "private", or a subnet whose instances have public addresses, then: dsenv up',
            )
        elif self.tags.jump_host:
            proxy = ("ssh", "-o", "BatchMode=yes", "-W", f"{host}:{network.SSH_PORT}", self.tags.jump_host)
        layout = Layout.of(self.tags.identity)
        key = self.saved.host_keys[0]
        alias = f"dsenv-{self.tags.identity.id}"
        return Endpoint(host, network.SSH_PORT, self.tags.user, layout.client_key, key, alias, proxy)

    def _endpoint_if_any(self) -> Endpoint | None:
        try:
            return self.endpoint()
        except ProviderError:
            return None  # what makes it or wakes it says why

    def _note(self) -> str:
        if self.instance is None:
            return "half made: it has no instance"
        parts = [str(self.instance["InstanceType"]), str(self.instance["InstanceId"])]
        parts.append(str(self.instance.get("Placement", {}).get("AvailabilityZone") or self.cloud.region))
        if self.instance.get("InstanceLifecycle") == "spot":
            parts.append("spot")
        name = instances.state_name(self.instance)
        if name in instances.GONE:
            parts.append(f"{name}: {instances.reason(self.instance)}".rstrip(": "))
        elif intent.is_open(self.instance):
            parts.append(BROKEN_RESIZE)
        elif name in {"stopping", "stopped"} and (taken := instances.switched_off_by_aws(self.instance)):
            parts.append(taken)
        elif name == "running" and not self.mine:
            parts.append("this machine has no key for it")
        return ", ".join(parts)


def settings_of(identity: Identity) -> Workstation:
    """What the project's file says of the workstation now, for one that is not remembered; else the defaults."""
    nothing = Workstation(provider="aws")
    try:
        project = load.load(identity.root)
        wanted = project.workstation(identity.name)
    except ConfigError:
        return nothing
    return wanted if wanted.provider == "aws" and project.root == identity.root else nothing


def look(cloud: Cloud, identity: Identity, saved: Saved | None) -> Found | None:
    """What there is of the workstation in the cloud's region; None when there is nothing here or there."""
    instance = None
    if saved and saved.instance:
        instance = instances.by_id(cloud, saved.instance, since=saved.launched)
    if instance is None or instances.state_name(instance) in instances.GONE:
        found = instances.by_tag(cloud, identity, saved.owner if saved else cloud.owner)
        live = [item for item in found if instances.state_name(item) not in instances.GONE]
        going = [item for item in found if instances.state_name(item) == "shutting-down"]
        instance = next(iter(live or going), instance)
    if instance is not None:
        read = Tags.read(instance)
        known = read if read and read.identity == identity else saved.tags if saved else None
        return Found(cloud, known, saved, instance) if known else None
    if saved:
        return Found(cloud, saved.tags, saved, None)
    return _half_made(cloud, identity)


def _half_made(cloud: Cloud, identity: Identity) -> Found | None:
    """What a crash left, or what waits for its end: a group without an instance."""
    groups = cloud.ec2(
        "describe_security_groups", "cannot look for the security group", Filters=tags.of_workstation(identity)
    )["SecurityGroups"]
    for group in groups:
        read = Tags.read(group)
        if read and read.identity == identity and tags.same_owner(read.owner, cloud.owner):
            return Found(cloud, read, None, None)
    return None


def in_region(cloud: Cloud) -> list[Identity]:
    """The workstations of the caller in one region, as the account knows them."""
    groups = cloud.pages("describe_instances", "Reservations", "cannot list the instances", Filters=tags.OURS)
    read = [
        Tags.read(instance)
        for group in groups
        for instance in group["Instances"]
        if instances.state_name(instance) not in instances.GONE
    ]
    return list(dict.fromkeys(item.identity for item in read if item and tags.same_owner(item.owner, cloud.owner)))
