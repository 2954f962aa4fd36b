"""A workstation is made, woken or repaired: each step is written down before it is taken and may be repeated."""

from __future__ import annotations

import dataclasses
import time

from dsenv.errors import ProviderError, WorkstationNotReadyError
from dsenv.events import Emit, Notice, step
from dsenv.models.machine import Endpoint, State
from dsenv.providers import keys
from dsenv.providers.aws import choice, contact, costs, images, instances, intent, launch, network, userdata
from dsenv.providers.aws import saved as saves
from dsenv.providers.aws.cloud import Cloud
from dsenv.providers.aws.found import Found
from dsenv.providers.aws.images import Image
from dsenv.providers.aws.prices import Prices
from dsenv.providers.aws.saved import Layout, Saved
from dsenv.providers.aws.tags import ACCESS, HOST, INSTALLATION, KEYS, LIMITS, Tags
from dsenv.providers.base import Spec, made_elsewhere
from dsenv.providers.size import parse

_GONE_SECONDS = 300.0


def ensure(cloud: Cloud, there: Found | None, spec: Spec, emit: Emit) -> Found:
    """The workstation, running, with keys that are ours alone. Raises ProviderError, TransportError."""
    userdata.checked(spec.needs.packages)
    with step(emit, "instance", "instance") as note:
        if there is not None and there.instance is not None and there.state is State.CRASHED:
            there = _without_what_is_gone(there, emit)
        if there is not None and there.instance is not None:
            there = _kept(there, spec, emit)
        else:
            there = _made(cloud, there, spec, emit)
        note.note = there.machine().note
    there = _answering(there, emit)
    return _limited(there, spec, emit)


def wake(there: Found, emit: Emit) -> Found:
    """Switch on a workstation that is there. Raises ProviderError, TransportError."""
    refuse_without_key(there)
    with step(emit, "instance", "instance") as note:
        there = _switched_on(there, emit)
        note.note = there.machine().note
    return _answering(there, emit)


def refuse_without_key(there: Found) -> None:
    """Raises WorkstationNotReadyError for a workstation that would not let us in when it is on."""
    if not there.mine:
        raise WorkstationNotReadyError(
            f"this machine has no key for the workstation {there.tags.identity.name}",
            hint=f"dsenv up {there.tags.identity.name}",
        )


def elsewhere(there: Found, wanted: str) -> Notice:
    """What to say when the settings name another region."""
    name = there.tags.identity.name
    return Notice(
        f"the workstation {name} is in {there.cloud.region} and stays there; to have it in {wanted}: "
        f"dsenv down {name}, then dsenv up {name}",
        "warning",
    )


# --- a new one


def _without_what_is_gone(there: Found, emit: Emit) -> Found:
    """The workstation without an instance that is being terminated, or was."""
    assert there.instance is not None
    if instances.state_name(there.instance) not in instances.GONE:
        return there
    name = str(there.instance["InstanceId"])
    emit(Notice(f"the instance {name} is gone, and its disk: {instances.reason(there.instance)}", "warning"))
    saved = there.saved
    if saved:
        saved = saved.but(instance="", attempt=saved.attempt + 1, asked=0, host_keys=(), rotated=False)
    return dataclasses.replace(there, saved=saved, instance=None)


def _made(cloud: Cloud, there: Found | None, spec: Spec, emit: Emit) -> Found:
    settings, identity = spec.settings, spec.identity
    if settings.access == "session-manager" and not settings.instance_profile:
        raise ProviderError(
            "access through Session Manager needs a role that lets the machine use it",
            hint='set instance_profile = "..." in dsenv.toml, with the policy AmazonSSMManagedInstanceCore',
        )
    prices = Prices(cloud)
    kinds = [choice.given(cloud, settings.instance_type)] if settings.instance_type else choice.cheapest(
        cloud, prices, parse(settings.size), spec.needs, emit
    )  # fmt: skip
    image = _image(cloud, spec, kinds[0])
    subnets = network.subnets(cloud, settings.subnet)
    saved = there.saved if there and there.saved else None
    created = saved.created if saved else there.tags.created if there else int(time.time() * 1e6)
    wanted = Tags(
        identity,
        cloud.owner,
        created,
        user=image.user,
        access=saves.access(settings),
        jump_host=settings.jump_host or "",
        limits=saves.limits(settings),
    )
    saved = _with_keys(_intent(saved, Saved.new(wanted, settings, cloud.region)))
    group = settings.security_group or network.ensure_group(cloud, saved.tags, subnets[0].vpc)
    if not settings.security_group:
        saved = saved.but(group=group)
        _admit(cloud, saved, subnets[0].vpc)
    data = userdata.build(_boot(saved, spec.needs.packages))
    launched = launch.Launch(saved.tags, image, data, group)
    places = launch.places(cloud, kinds, subnets, spot=settings.spot)
    saved, instance = launch.run(cloud, launched, places, settings, saved, emit)
    there = Found(cloud, Tags.read(instance) or saved.tags, saved, instance)
    if there.tags.keys != saved.tags.keys:
        return _kept(there, spec, emit)  # another machine was faster
    return _switched_on(there, emit)


def _intent(known: Saved | None, new: Saved) -> Saved:
    """What is wanted, with what is known of earlier tries, written."""
    if known is None:
        return new.write()
    kept = {name: getattr(known, name) for name in ("attempt", "asked", "group", "created", "host_keys", "rotated")}
    return dataclasses.replace(new, **kept).write()


def _with_keys(saved: Saved) -> Saved:
    layout = Layout.of(saved.identity)
    keys.ensure(layout.client_key)
    return saved.but(host_keys=(keys.ensure(layout.first_host_key),), rotated=False)


def _image(cloud: Cloud, spec: Spec, kind: choice.Type) -> Image:
    default = images.default_os(spec.settings.access)
    architecture = spec.needs.architecture or ("aarch64" if "arm64" in kind.architectures else "x86_64")
    image = images.find(cloud, spec.settings.image, spec.needs.os or default, architecture)
    if images.aws_architecture(image.architecture) not in kind.architectures:
        raise ProviderError(
            f"the image {image.id} is for {image.architecture}, the instance type {kind.name} is not",
            hint="change `image` or `instance_type` in dsenv.toml, then: dsenv up",
        )
    return image


def _boot(saved: Saved, packages: tuple[str, ...]) -> userdata.Boot:
    layout = Layout.of(saved.identity)
    return userdata.Boot(
        user=saved.user,
        client_key=keys.ensure(layout.client_key),
        host_key=layout.first_host_key.read_text(encoding="ascii"),
        host_key_public=keys.ensure(layout.first_host_key),
        limits=saved.limits,
        packages=packages,
    )


def _admit(cloud: Cloud, saved: Saved, vpc: str) -> None:
    network.admit(cloud, saved.group, network.sources(cloud, saved.ingress, saved.access, vpc))


# --- one that is there


def _kept(there: Found, spec: Spec, emit: Emit) -> Found:
    """The instance that is there, running, opened by keys of ours."""
    assert there.instance is not None
    saved = there.saved or Saved.new(there.tags, spec.settings, there.cloud.region, group=_own_group(there))
    name = str(there.instance["InstanceId"])
    if (wanted := spec.settings.instance_type) and wanted != there.instance["InstanceType"]:
        emit(_other_type(there, wanted))
    saved = saved.but(instance=name, asked=0, ingress=tuple(spec.settings.ingress))
    there = _by_way_of(dataclasses.replace(there, saved=saved), spec)
    if not there.mine:
        there = _taken_over(there, spec, emit)
    return _switched_on(there, emit)


def _other_type(there: Found, wanted: str) -> Notice:
    name, now = there.tags.identity.name, there.living["InstanceType"]
    return Notice(
        f"the workstation {name} stays a {now}; to make it a {wanted}: dsenv resize {name} --instance-type {wanted}",
        "warning",
    )


def _by_way_of(there: Found, spec: Spec) -> Found:
    """Reached as the settings say now."""
    assert there.saved is not None
    access, jump_host = saves.access(spec.settings), spec.settings.jump_host or ""
    tags = dataclasses.replace(there.tags, access=access, jump_host=jump_host)
    if tags == there.tags:
        return there
    _tag(there.cloud, there.saved.instance, {ACCESS: tags.items()[ACCESS]})
    return dataclasses.replace(there, tags=tags, saved=there.saved.but(access=access, jump_host=jump_host))


def _own_group(there: Found) -> str:
    """The group of ours that the instance is in; empty when it is the user's."""
    assert there.instance is not None
    name = network.group_name(there.tags)
    groups = there.instance.get("SecurityGroups", ())
    return next((str(group["GroupId"]) for group in groups if group.get("GroupName") == name), "")


def _taken_over(there: Found, spec: Spec, emit: Emit) -> Found:
    """Give an instance keys of ours: it reads them when it boots, so it has to be off for a moment.

    One that another machine made is not switched off behind that one's back.
    """
    assert there.saved is not None
    assert there.instance is not None
    cloud, identity, name = there.cloud, there.tags.identity, str(there.instance["InstanceId"])
    if instances.state_name(there.instance) in {"pending", "running"}:
        if not there.tags.ours:
            raise made_elsewhere(identity, there.tags.host)
        emit(Notice("the keys of the workstation are lost: it is restarted with new ones; files are kept", "warning"))
    saved = _with_keys(there.saved)
    stopped = instances.stop(cloud, there.instance, emit)
    data = userdata.build(_boot(saved, spec.needs.packages))
    doing = f"cannot give the instance {name} new keys"
    cloud.ec2("modify_instance_attribute", doing, InstanceId=name, UserData={"Value": data})
    now = saved.tags
    _tag(cloud, name, {tag: now.items()[tag] for tag in (KEYS, HOST, INSTALLATION)})
    tags = dataclasses.replace(there.tags, keys=now.keys, host=now.host, installation=now.installation)
    return Found(cloud, tags, saved, stopped)


def _tag(cloud: Cloud, instance: str, values: dict[str, str]) -> None:
    items = [{"Key": key, "Value": value} for key, value in values.items()]
    cloud.ec2("create_tags", f"cannot tag the instance {instance}", Resources=[instance], Tags=items)


def _switched_on(there: Found, emit: Emit) -> Found:
    """Running, and reachable from here as far as it is for us to see to that."""
    assert there.saved is not None
    assert there.instance is not None
    if taken := instances.switched_off_by_aws(there.instance):
        emit(Notice(f"the workstation {there.tags.identity.name} was off: {taken}; what ran on it was ended"))
    if there.saved.group:
        _admit(there.cloud, there.saved, str(there.instance.get("VpcId", "")))
    there_now = instances.start(there.cloud, there.instance, emit, lambda stopped: costs.account(there.cloud, stopped))
    intent.settled(there.cloud, there_now)
    return dataclasses.replace(there, instance=there_now)


# --- the first words


def _answering(there: Found, emit: Emit) -> Found:
    """It lets us in, and shows a host key that is its own."""
    assert there.saved is not None
    saved = there.saved

    def endpoint() -> Endpoint:
        assert there.instance is not None
        now = instances.by_id(there.cloud, str(there.instance["InstanceId"]), since=saved.launched)
        if now is None or instances.state_name(now) != "running":
            word = instances.state_name(now) if now else "gone"
            raise WorkstationNotReadyError(
                f"the instance {there.instance['InstanceId']} is {word} instead of answering",
                hint="dsenv up",
                detail=instances.reason(now or {}) or None,
            )
        return dataclasses.replace(there, instance=now).endpoint()

    with step(emit, "boot", "boot"):
        transport, shown = contact.wait(endpoint, saved.host_keys, emit)
    with transport:
        if not saved.rotated:
            with step(emit, "host-key", "host key"):
                saved = contact.settle(transport, shown, saved, there.endpoint())
    instance = instances.by_id(there.cloud, saved.instance, since=saved.launched) or there.instance
    return dataclasses.replace(there, saved=saved, instance=instance)


def _limited(there: Found, spec: Spec, emit: Emit) -> Found:
    """It stops by itself when the settings say."""
    assert there.saved is not None
    wanted = saves.limits(spec.settings)
    if wanted == there.saved.limits and wanted == there.tags.limits:
        return there
    with step(emit, "limits", "set when it stops by itself"):
        transport, _ = contact.connect(there.endpoint(), there.saved.host_keys)
        with transport:
            contact.as_root(transport, userdata.new_limits(wanted))
        _tag(there.cloud, there.saved.instance, {LIMITS: f"{wanted.idle_seconds} {wanted.max_seconds}"})
        saved = there.saved.but(idle_seconds=wanted.idle_seconds, max_seconds=wanted.max_seconds)
    return dataclasses.replace(there, saved=saved, tags=dataclasses.replace(there.tags, limits=wanted))
