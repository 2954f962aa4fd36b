"""Which calls the user may make, by calls that are only tried: AWS answers them and carries nothing out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from dsenv.models.machine import Advice
from dsenv.providers.aws.cloud import Cloud
from dsenv.providers.aws.errors import DENIED, POLICY, QUOTAS, AwsError

Trial = tuple[str, str, dict[str, Any]]  # the action, its operation and parameters
_THREADS = 8
_INSTANCE_TYPE = "t3.micro"  # one that every region has: the answer is to be short
LOOKING: tuple[Trial, ...] = (
    ("ec2:DescribeImages", "describe_images", {"Owners": ["self"]}),
    (
        "ec2:DescribeInstanceTypeOfferings",
        "describe_instance_type_offerings",
        {"Filters": [{"Name": "instance-type", "Values": [_INSTANCE_TYPE]}]},
    ),
    ("ec2:DescribeInstanceTypes", "describe_instance_types", {"InstanceTypes": [_INSTANCE_TYPE]}),
    ("ec2:DescribeSecurityGroupRules", "describe_security_group_rules", {}),
    ("ec2:DescribeSecurityGroups", "describe_security_groups", {}),
    ("ec2:DescribeSpotInstanceRequests", "describe_spot_instance_requests", {}),
    ("ec2:DescribeVpcs", "describe_vpcs", {}),
)
FOR_AUDIT: tuple[Trial, ...] = (
    ("ec2:DescribeAddresses", "describe_addresses", {}),
    ("ec2:DescribeKeyPairs", "describe_key_pairs", {}),
    ("ec2:DescribeRegions", "describe_regions", {}),
    ("ec2:DescribeSnapshots", "describe_snapshots", {"OwnerIds": ["self"]}),
    ("ec2:DescribeTags", "describe_tags", {}),
)
_SSH = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "192.0.2.1/32"}]}


def of_instance(instance: str) -> list[Trial]:
    """What is done with a workstation; only one that is there can be tried, as the permissions ask for its tags."""
    return [
        ("ec2:StopInstances", "stop_instances", {"InstanceIds": [instance]}),
        ("ec2:StartInstances", "start_instances", {"InstanceIds": [instance]}),
        ("ec2:TerminateInstances", "terminate_instances", {"InstanceIds": [instance]}),
        (
            "ec2:ModifyInstanceAttribute",
            "modify_instance_attribute",
            {"InstanceId": instance, "InstanceType": {"Value": _INSTANCE_TYPE}},
        ),
        ("ec2:CreateTags", "create_tags", {"Resources": [instance], "Tags": [{"Key": "dsenv:access", "Value": "-"}]}),
    ]


def of_group(group: str) -> list[Trial]:
    """What is done with a security group of ours."""
    return [
        (
            "ec2:AuthorizeSecurityGroupIngress",
            "authorize_security_group_ingress",
            {"GroupId": group, "IpPermissions": [_SSH]},
        ),
        (
            "ec2:RevokeSecurityGroupIngress",
            "revoke_security_group_ingress",
            {"GroupId": group, "IpPermissions": [_SSH]},
        ),
        ("ec2:DeleteSecurityGroup", "delete_security_group", {"GroupId": group}),
    ]


def refused(cloud: Cloud, trials: Iterable[Trial]) -> list[tuple[str, AwsError]]:
    """The actions that may not be called, or not so, and what AWS says instead."""
    with ThreadPoolExecutor(_THREADS) as pool:
        answers = list(pool.map(lambda trial: (trial[0], _tried(cloud, *trial[1:])), trials))
    return [(action, error) for action, error in answers if error]


def _tried(cloud: Cloud, operation: str, parameters: dict[str, Any]) -> AwsError | None:
    try:
        cloud.ec2(operation, "it would be refused", DryRun=True, **parameters)
    except AwsError as error:
        # Whether there is room for it is told with the quotas.
        return error if error.code not in {"DryRunOperation", *QUOTAS} else None
    return None


def advice(cloud: Cloud, trials: Iterable[Trial], audited: Iterable[Trial] = ()) -> Iterator[Advice]:
    """What is refused: for `trials` it has to be seen to, for `audited` it is good to know."""
    for action, error in refused(cloud, trials):
        yield Advice("fix", _words(cloud, action, error), POLICY if error.code in DENIED else error.hint or POLICY)
    for action, error in refused(cloud, audited):
        yield Advice("note", f"{_words(cloud, action, error)}: `dsenv audit` needs it", POLICY)


def _words(cloud: Cloud, action: str, error: AwsError) -> str:
    if error.code in DENIED:
        return f"your AWS user may not call {action} in {cloud.region}"
    return f"{action} in {cloud.region}: {error.message}"
