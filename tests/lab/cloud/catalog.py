"""The images that the cloud offers: Debian, Ubuntu and Amazon Linux by their public SSM parameters. All boot one host.

What differs is what a client sees: names, owners, default users and root devices.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

DATE = "2026-11-01T00:00:00.000Z"


@dataclasses.dataclass(frozen=True)
class Image:
    id: str
    name: str
    owner: str
    user: str
    root_device: str
    architecture: str  # as EC2 says it: x86_64 or arm64
    parameters: tuple[str, ...]


def _images() -> list[Image]:
    found: list[Image] = []
    for number, (architecture, short) in enumerate((("x86_64", "amd64"), ("arm64", "arm64")), 1):
        found += [
            Image(
                f"ami-0deb1{version}000000000{number}",
                f"debian-{version}-{short}-20261101-1900",
                "136693071363",
                "admin",
                "/dev/xvda",
                architecture,
                (f"/aws/service/debian/release/{version}/latest/{short}",),
            )
            for version in ("12", "13")
        ]
        found += [
            Image(
                f"ami-0bb{version.replace('.', '')}000000000{number}",
                f"ubuntu/images/hvm-ssd{suffix}/ubuntu-{code}-{version}-{short}-server-20261101",
                "099720109477",
                "ubuntu",
                "/dev/sda1",
                architecture,
                tuple(
                    f"/aws/service/canonical/ubuntu/server/{release}/stable/current/{short}/hvm/{disk}/ami-id"
                    for release in (version, code)
                ),
            )
            for version, code, disk, suffix in (
                ("22.04", "jammy", "ebs-gp2", ""),
                ("24.04", "noble", "ebs-gp3", "-gp3"),
            )
        ]
        kernels = ("kernel-default", "kernel-6.1", "minimal-kernel-default")
        found.append(
            Image(
                f"ami-0a12023000000000{number}",
                f"al2023-ami-2023.9.20261101.0-kernel-6.1-{architecture}",
                "137112412989",
                "ec2-user",
                "/dev/xvda",
                architecture,
                tuple(f"/aws/service/ami-amazon-linux-latest/al2023-ami-{k}-{architecture}" for k in kernels),
            )
        )
    return found


IMAGES = _images()
PARAMETERS = {parameter: image.id for image in IMAGES for parameter in image.parameters}
_BY_ID = {image.id: image for image in IMAGES}


def user(backend: Any, image_id: str) -> str:
    """The default user of an image; one that was made from an instance has that instance's."""
    for _ in range(10):
        if image_id in _BY_ID:
            return _BY_ID[image_id].user
        source = getattr(backend.amis.get(image_id), "instance", None)
        if source is None:
            break
        image_id = source.image_id
    return "ec2-user"


def zones(backend: Any, instance_type: str) -> list[str]:
    """The zones of a region that have a type and a default subnet, in order."""
    from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS

    offered = INSTANCE_TYPE_OFFERINGS["availability-zone"].get(backend.region_name, ())
    having = {one["Location"] for one in offered if one["InstanceType"] == instance_type}
    return sorted(having & set(backend.get_default_subnets()))


def write(path: Path) -> Path:
    """The file from which moto takes its images."""
    rows = [
        {
            "ami_id": image.id,
            "state": "available",
            "public": True,
            "owner_id": image.owner,
            "image_location": f"amazon/{image.name}",
            "sriov": "simple",
            "root_device_type": "ebs",
            "root_device_name": image.root_device,
            "description": image.name,
            "image_type": "machine",
            "platform": None,
            "architecture": image.architecture,
            "name": image.name,
            "virtualization_type": "hvm",
            "hypervisor": "xen",
            "creation_date": DATE,
        }
        for image in IMAGES
    ]
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path
