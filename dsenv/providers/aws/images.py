"""Which image a workstation boots, and who logs in to it."""

from __future__ import annotations

import dataclasses

from dsenv.errors import ProviderError
from dsenv.providers.aws.cloud import Cloud
from dsenv.providers.aws.errors import AwsError

DEFAULT_OS = "debian-12"
# Debian's image lacks the agent that a session needs.
DEFAULT_OS_OF_SESSIONS = "ubuntu-24.04"
OWN_USER = "dsenv"  # made by user data where the image's own user is not known
_UBUNTU = "/aws/service/canonical/ubuntu/server/{}/stable/current/{{}}/hvm/{}/ami-id"
# The public parameters in which the makers keep their newest image.
_PARAMETERS = {
    "debian-12": "/aws/service/debian/release/12/latest/{}",
    "debian-13": "/aws/service/debian/release/13/latest/{}",
    "ubuntu-22.04": _UBUNTU.format("22.04", "ebs-gp2"),
    "ubuntu-24.04": _UBUNTU.format("24.04", "ebs-gp3"),
    "amzn-2023": "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-{}",
}
_DEBIAN_WORDS = {"x86_64": "amd64", "aarch64": "arm64"}
_AWS_WORDS = {"x86_64": "x86_64", "aarch64": "arm64"}
_USERS = (("debian", "admin"), ("ubuntu", "ubuntu"), ("al2023", "ec2-user"), ("amzn", "ec2-user"))


@dataclasses.dataclass(frozen=True)
class Image:
    """What is booted."""

    id: str
    root_device: str
    disk_gb: int  # its own size: the least that a disk can have
    architecture: str  # x86_64 or aarch64
    user: str


def aws_architecture(architecture: str) -> str:
    """The word that EC2 has for it. Raises ProviderError for one that EC2 has not."""
    if architecture not in _AWS_WORDS:
        raise ProviderError(
            f"EC2 has no machines of the architecture {architecture}",
            hint="take x86_64 or aarch64, or another provider",
        )
    return _AWS_WORDS[architecture]


def default_os(access: str) -> str:
    """The system of a workstation that asks for none."""
    return DEFAULT_OS_OF_SESSIONS if access == "session-manager" else DEFAULT_OS


def find(cloud: Cloud, wanted: str | None, os: str, architecture: str) -> Image:
    """The image for the setting `image`, or else the newest one of `os`. Raises ProviderError."""
    if wanted and wanted.startswith("ami-"):
        return _described(cloud, wanted, f"the image {wanted}")
    name = (wanted or _parameter(os, architecture)).removeprefix("resolve:ssm:")
    doing = f"cannot read the parameter {name}, which holds an image"
    answer = cloud.call("ssm", "get_parameters", doing, Names=[name])
    if not answer["Parameters"]:
        raise ProviderError(
            f"there is no parameter {name} in {cloud.region}",
            hint='set image = "ami-..." in dsenv.toml, or another region',
        )
    return _described(cloud, str(answer["Parameters"][0]["Value"]), name)


def _parameter(os: str, architecture: str) -> str:
    if os not in _PARAMETERS:
        raise ProviderError(
            f"no image of {os} is known",
            hint=f'set image = "ami-..." in dsenv.toml; known are: {", ".join(sorted(_PARAMETERS))}',
        )
    aws_architecture(architecture)
    words = _AWS_WORDS if os.startswith("amzn") else _DEBIAN_WORDS
    return _PARAMETERS[os].format(words[architecture])


def _described(cloud: Cloud, image: str, source: str) -> Image:
    doing = f"cannot look at {source}"
    found = cloud.ec2("describe_images", doing, ImageIds=[image])["Images"]
    if not found:
        raise AwsError(
            f"{doing}: there is no image {image} in {cloud.region}",
            code="InvalidAMIID.NotFound",
            hint="change `image` in dsenv.toml, then: dsenv up",
        )
    item = found[0]
    root = str(item.get("RootDeviceName", "/dev/xvda"))
    sizes = [
        int(device["Ebs"].get("VolumeSize", 0))
        for device in item.get("BlockDeviceMappings", ())
        if device.get("DeviceName") == root and "Ebs" in device
    ]
    architecture = "aarch64" if item.get("Architecture") == "arm64" else "x86_64"
    said = f"{source} {item.get('Name', '')}".lower()
    user = next((user for word, user in _USERS if word in said), OWN_USER)
    return Image(image, root, max(sizes, default=0), architecture, user)
