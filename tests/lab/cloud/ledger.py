"""Everything that exists and costs money or stays, straight from the records: the referee of tests about leaks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.lab.cloud import catalog


def entries() -> list[dict[str, Any]]:
    """A row for each thing: kind, id, region, state and tags. What AWS itself puts in an account is left out."""
    from moto.ec2.models import ec2_backends

    rows: list[dict[str, Any]] = []
    for account in list(ec2_backends.values()):
        for region, backend in list(account.items()):
            for kind, thing, name, state in _of_region(backend):
                tags = {tag["key"]: tag["value"] for tag in backend.describe_tags(filters={"resource-id": [thing]})}
                rows.append({"kind": kind, "id": thing, "region": region, "state": state, "name": name, "tags": tags})
    return rows + list(_of_account())


def _of_region(backend: Any) -> Iterator[tuple[str, str, str, str]]:
    """Kind, id, name and state."""
    yield from _machines(backend)
    yield from _kept(backend)
    for address in list(backend.addresses):
        yield "address", address.allocation_id, address.public_ip, "associated" if address.instance else "idle"
    for groups in list(backend.groups.values()):
        yield from (("security-group", g.id, g.name, "") for g in list(groups.values()) if g.name != "default")
    for pair in list(backend.key_pairs.values()):
        yield "key-pair", pair.id, pair.key_name, ""
    for template in list(backend.launch_templates.values()):
        yield "launch-template", template.id, template.name, ""


def _machines(backend: Any) -> Iterator[tuple[str, str, str, str]]:
    for reservation in list(backend.reservations.values()):
        for instance in reservation.instances:
            if instance.state != "terminated":
                yield "instance", instance.id, "", instance.state
    for request in list(backend.spot_instance_requests.values()):
        if request.state in ("open", "active"):
            yield "spot-request", request.id, "", request.state


def _kept(backend: Any) -> Iterator[tuple[str, str, str, str]]:
    for volume in list(backend.volumes.values()):
        yield "volume", volume.id, "", volume.status
    offered = {image.id for image in catalog.IMAGES}
    backing = {image.ebs_snapshot.id for image in backend.amis.values() if image.id in offered}
    for snapshot in list(backend.snapshots.values()):
        if snapshot.id not in backing:
            yield "snapshot", snapshot.id, "", snapshot.status
    for image in list(backend.amis.values()):
        if image.id not in offered:
            yield "image", image.id, image.name or "", image.state


def _of_account() -> Iterator[dict[str, Any]]:
    from moto.iam.models import iam_backends

    for account in list(iam_backends.values()):
        for backend in list(account.values()):
            for profile in list(backend.instance_profiles.values()):
                yield _account_row("instance-profile", profile.name, profile.tags)
            for role in list(backend.roles.values()):
                if not role.path.startswith("/aws-service-role/"):
                    yield _account_row("role", role.name, role.tags)


def _account_row(kind: str, name: str, tags: Any) -> dict[str, Any]:
    pairs = tags.values() if isinstance(tags, dict) else tags
    said = {str(tag["Key"]): str(tag["Value"]) for tag in pairs or () if isinstance(tag, dict)}
    return {"kind": kind, "id": name, "region": "", "state": "", "name": name, "tags": said}
