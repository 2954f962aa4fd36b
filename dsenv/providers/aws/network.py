"""Where an instance stands, and who may reach it: subnets, and a security group of each workstation's own."""

from __future__ import annotations

import dataclasses
import hashlib
import ipaddress
import os
import urllib.error
import urllib.request
from typing import Any

from dsenv.errors import ProviderError
from dsenv.providers.aws.cloud import Cloud
from dsenv.providers.aws.errors import AwsError
from dsenv.providers.aws.tags import Tags

SSH_PORT = 22
_CHECKIP = "https://checkip.amazonaws.com"
_CHECKIP_SECONDS = 5
_RULE = "dsenv: ssh"


@dataclasses.dataclass(frozen=True)
class Subnet:
    """A place in one zone."""

    id: str
    zone: str
    vpc: str


def subnets(cloud: Cloud, wanted: str | None) -> list[Subnet]:
    """The given subnet, or those of the default VPC, one a zone. Raises ProviderError when there is none."""
    doing = f"cannot use the subnet {wanted}" if wanted else "cannot look for the default subnets"
    if wanted:
        answer = cloud.ec2("describe_subnets", doing, SubnetIds=[wanted])
    else:
        answer = cloud.ec2("describe_subnets", doing, Filters=[{"Name": "default-for-az", "Values": ["true"]}])
    found = [Subnet(item["SubnetId"], item["AvailabilityZone"], item["VpcId"]) for item in answer["Subnets"]]
    if not found:
        raise ProviderError(
            f"the account has no default VPC in {cloud.region}" if not wanted else f"there is no subnet {wanted}",
            hint='set subnet = "subnet-..." in dsenv.toml, or: aws ec2 create-default-vpc',
        )
    return sorted(found, key=lambda item: item.zone)


def offering(cloud: Cloud, places: list[Subnet], kind: str) -> list[Subnet]:
    """Those of the places whose zone has instances of this type. Raises ProviderError when none has."""
    answer = cloud.ec2(
        "describe_instance_type_offerings",
        f"cannot see where there are instances of the type {kind}",
        LocationType="availability-zone",
        Filters=[{"Name": "instance-type", "Values": [kind]}],
    )
    zones = {item["Location"] for item in answer["InstanceTypeOfferings"]}
    found = [place for place in places if place.zone in zones]
    if not found:
        where = ", ".join(place.zone for place in places)
        raise ProviderError(
            f"there are no instances of the type {kind} in {where}",
            hint=f"change `instance_type`, `region` or `subnet`; zones with it: {', '.join(sorted(zones)) or 'none'}",
        )
    return found


def group_name(tags: Tags) -> str:
    """The name of a workstation's own group: the same for all who make it, different for other people's."""
    return f"dsenv-{tags.identity.id}-{hashlib.sha256(tags.owner.encode()).hexdigest()[:6]}"


def ensure_group(cloud: Cloud, tags: Tags, vpc: str) -> str:
    """The workstation's own security group in the VPC, made when it is missing. Raises ProviderError."""
    name = group_name(tags)
    try:
        answer = cloud.ec2(
            "create_security_group",
            "cannot make a security group",
            GroupName=name,
            Description=f"dsenv: who may reach the workstation {tags.identity.name} of {tags.identity.project}",
            VpcId=vpc,
            TagSpecifications=tags.specification("security-group"),
        )
        return str(answer["GroupId"])
    except AwsError as error:
        if error.code != "InvalidGroup.Duplicate":
            raise
    wanted = {"group-name": [name], "vpc-id": [vpc]}
    found = cloud.ec2(
        "describe_security_groups",
        "cannot look for the security group",
        Filters=[{"Name": key, "Values": values} for key, values in wanted.items()],
    )["SecurityGroups"]
    if not found:
        raise ProviderError(f"the security group {name} exists, but cannot be seen", hint="repeat the command")
    group, its = str(found[0]["GroupId"]), Tags.read(found[0])
    if its is None or its.identity != tags.identity:
        raise ProviderError(
            f"there is a security group {name} that is not dsenv's: {group}",
            hint='set security_group = "sg-..." in dsenv.toml, or: '
            f"aws ec2 delete-security-group --region {cloud.region} --group-id {group}",
        )
    return group


def sources(cloud: Cloud, settings_ingress: tuple[str, ...], access: str, vpc: str) -> list[str]:
    """The networks that may connect. Raises ProviderError when the caller's address cannot be found."""
    if access == "session-manager":
        return []  # nobody: the session is opened from inside
    if settings_ingress:
        return [_network(text) for text in settings_ingress]
    if access == "private":
        found = cloud.ec2("describe_vpcs", "cannot look at the VPC", VpcIds=[vpc])["Vpcs"]
        return [str(item["CidrBlock"]) for item in found]
    return [_caller()]


def admit(cloud: Cloud, group: str, networks: list[str]) -> bool:
    """Let these networks, and no others, reach SSH. True when something had to be changed. Raises ProviderError."""
    rules = cloud.ec2(
        "describe_security_group_rules",
        "cannot look at who may connect",
        Filters=[{"Name": "group-id", "Values": [group]}],
    )["SecurityGroupRules"]
    ours = {
        str(rule.get("CidrIpv4") or rule.get("CidrIpv6")): rule
        for rule in rules
        if not rule["IsEgress"] and rule.get("Description") == _RULE
    }
    missing = [network for network in networks if network not in ours]
    old = [str(rule["SecurityGroupRuleId"]) for network, rule in ours.items() if network not in networks]
    if missing:
        try:
            cloud.ec2(
                "authorize_security_group_ingress",
                "cannot let this machine connect",
                GroupId=group,
                IpPermissions=[_permission(network) for network in missing],
            )
        except AwsError as error:
            if error.code != "InvalidPermission.Duplicate":
                raise
    if old:
        cloud.ec2(
            "revoke_security_group_ingress",
            "cannot take the old address out of the security group",
            GroupId=group,
            SecurityGroupRuleIds=old,
        )
    return bool(missing or old)


def _permission(network: str) -> dict[str, Any]:
    entry: dict[str, Any] = {"IpProtocol": "tcp", "FromPort": SSH_PORT, "ToPort": SSH_PORT}
    if ":" in network:
        return entry | {"Ipv6Ranges": [{"CidrIpv6": network, "Description": _RULE}]}
    return entry | {"IpRanges": [{"CidrIp": network, "Description": _RULE}]}


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text.strip(), strict=False))
    except ValueError as error:
        raise ProviderError(
            f"{text!r} is not an address or a network", hint='write it as: ingress = ["203.0.113.7/32"]'
        ) from error


def _caller() -> str:
    """The address from which this machine is seen."""
    url = os.environ.get("DSENV_CHECKIP_URL", _CHECKIP)
    hint = 'set ingress = ["YOUR-ADDRESS/32"] in dsenv.toml, or DSENV_CHECKIP_URL to a page that tells your address'
    if not url.startswith(("https://", "http://")):
        raise ProviderError(f"DSENV_CHECKIP_URL is not the address of a page: {url}", hint=hint)
    try:
        with urllib.request.urlopen(url, timeout=_CHECKIP_SECONDS) as answer:  # noqa: S310 - looked at above
            text = answer.read(200).decode("ascii", "replace").strip()
    except (OSError, urllib.error.URLError, ValueError) as error:
        raise ProviderError(f"cannot find out the address of this machine from {url}: {error}", hint=hint) from error
    try:
        address = ipaddress.ip_address(text)
    except ValueError as error:
        raise ProviderError(f"{url} does not tell an address but {text[:40]!r}", hint=hint) from error
    return str(ipaddress.ip_network(address))
