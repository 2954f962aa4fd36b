"""Faults do what they say, to the calls that they are about, and to no others. Most tests boot no host."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.client import Lab, LabError
from tests.lab.connecting import Account


@pytest.fixture(scope="module")
def account(running_lab: Lab) -> Iterator[Account]:
    made = Account(running_lab, "faulty")
    yield made
    made.close()


def once(account: Account, service: str) -> Any:
    """A client that does not try again."""
    import botocore.config

    config = botocore.config.Config(retries={"total_max_attempts": 1}, read_timeout=2)
    return account._session.client(service, endpoint_url=account.lab.endpoint, config=config)  # type: ignore[call-overload]


def code(call: Any, **params: Any) -> str:
    import botocore.exceptions

    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**params)
    return str(caught.value.response["Error"]["Code"])


def delete_volumes(account: Account) -> None:
    idle = [{"Name": "status", "Values": ["available"]}]
    for volume in account.ec2.describe_volumes(Filters=idle)["Volumes"]:
        account.ec2.delete_volume(VolumeId=volume["VolumeId"])


def volumes(lab: Lab) -> int:
    return sum(row["kind"] == "volume" for row in lab.ledger())


def test_an_error_comes_as_often_as_ordered(lab: Lab, account: Account) -> None:
    lab.fault(service="ec2", action="DescribeVpcs", error="RequestLimitExceeded", times=2)
    account.ec2.describe_subnets()
    account.ec2.describe_vpcs()  # boto3 tries again by itself
    met = [call["fault"] for call in lab.calls() if call["action"] == "DescribeVpcs"]
    assert met == ["error", "error", ""]


@pytest.mark.parametrize(
    ("service", "call", "params"),
    [
        ("ec2", "describe_vpcs", {}),
        ("sts", "get_caller_identity", {}),
        ("ssm", "get_parameter", {"Name": "/x"}),
        ("s3", "list_buckets", {}),
        ("pricing", "get_products", {"ServiceCode": "AmazonEC2"}),
        ("batch", "describe_job_queues", {}),
    ],
)
def test_errors_are_in_the_protocol_of_their_service(
    lab: Lab, account: Account, service: str, call: str, params: dict[str, Any]
) -> None:
    lab.fault(service=service, error="ExpiredTokenException", message="The security token expired", status=403)
    client = once(account, service)
    assert code(getattr(client, call), **params) == "ExpiredTokenException"


def test_a_fault_can_be_about_one_zone_or_region(lab: Lab, account: Account) -> None:
    zones = {s["AvailabilityZone"]: s["SubnetId"] for s in account.ec2.describe_subnets()["Subnets"]}
    first, second = sorted(zones)[:2]
    lab.fault(action="RunInstances", match={"zone": first}, error="InsufficientInstanceCapacity")
    client = once(account, "ec2")
    # A dry run of what would succeed says so by an error of its own.
    for place in ({}, {"SubnetId": zones[first]}, {"Placement": {"AvailabilityZone": first}}):
        refused = code(client.run_instances, DryRun=True, **account.request(**place))
        assert refused == "InsufficientInstanceCapacity"
    assert code(client.run_instances, DryRun=True, **account.request(SubnetId=zones[second])) == "DryRunOperation"


def test_a_lost_answer_is_of_a_call_that_was_carried_out(lab: Lab, account: Account) -> None:
    import botocore.exceptions

    before = volumes(lab)
    place = {"Size": 1, "AvailabilityZone": "us-east-1a"}
    for kind, made in (("dropped", 0), ("lost", 1)):
        lab.fault(action="CreateVolume", times=1, **{kind: True})
        with pytest.raises(botocore.exceptions.HTTPClientError):
            once(account, "ec2").create_volume(**place)
        assert volumes(lab) == before + made
    delete_volumes(account)


def test_hanging_and_late_answers(lab: Lab, account: Account) -> None:
    import botocore.exceptions

    lab.fault(action="DescribeVpcs", delay=0.5, times=1)
    began = time.monotonic()
    account.ec2.describe_vpcs()
    assert time.monotonic() - began >= 0.5
    lab.fault(action="DescribeVpcs", hang=3, times=1)
    with pytest.raises(botocore.exceptions.ReadTimeoutError):
        once(account, "ec2").describe_vpcs()


CLIENT = """
import boto3
ec2 = boto3.client("ec2")
for number in range(4):
    ec2.create_volume(Size=1, AvailabilityZone="us-east-1a")
"""


@pytest.mark.parametrize(("when", "made"), [("before", 2), ("after", 3)])
def test_a_client_is_killed_at_a_call(lab: Lab, account: Account, when: str, made: int) -> None:
    before = volumes(lab)
    environment = lab.environment()
    argv = [sys.executable, "-c", f"input(){CLIENT}"]
    with subprocess.Popen(argv, env=environment, stdin=subprocess.PIPE) as client:
        lab.fault(kill=client.pid, at=3, when=when)
        assert client.stdin is not None
        client.stdin.write(b"\n")
        client.stdin.close()
        assert client.wait(60) == -signal.SIGKILL
    assert volumes(lab) == before + made
    assert len(lab.calls()) == 3
    delete_volumes(account)


def test_limits_of_the_account_are_kept(lab: Lab, account: Account) -> None:
    run = once(account, "ec2").run_instances
    lab.quota("L-1216C47A", 1)
    assert code(run, **account.request()) == "VcpuLimitExceeded"
    lab.reset()
    assert code(run, **account.request(InstanceType="p5.48xlarge")) == "VcpuLimitExceeded"
    assert code(run, **account.request(InstanceType="t9.none")) == "InvalidParameterValue"
    assert code(run, **account.request(UserData="x" * 16385)) == "InvalidParameterValue"
    assert code(run, **account.request(InstanceType="t4g.small")) == "InvalidParameterValue"  # another architecture
    assert code(run, **account.request(Placement={"AvailabilityZone": "us-east-1e"})) == "Unsupported"
    listed = account.client("service-quotas").list_service_quotas(ServiceCode="ec2")["Quotas"]
    assert {"L-1216C47A", "L-417A185B"} <= {quota["QuotaCode"] for quota in listed}


def test_prices_and_images_are_known(lab: Lab, account: Account) -> None:
    pricing = account.client("pricing")
    wanted = [{"Type": "TERM_MATCH", "Field": "instanceType", "Value": "t3.micro"}]
    assert '"USD": "0.0104000000"' in pricing.get_products(ServiceCode="AmazonEC2", Filters=wanted)["PriceList"][0]
    disk = [{"Type": "TERM_MATCH", "Field": "volumeApiName", "Value": "gp3"}]
    assert '"USD": "0.0800000000"' in pricing.get_products(ServiceCode="AmazonEC2", Filters=disk)["PriceList"][0]
    spot = account.ec2.describe_spot_price_history(InstanceTypes=["t3.micro"], ProductDescriptions=["Linux/UNIX"])
    assert {row["SpotPrice"] for row in spot["SpotPriceHistory"]} == {"0.003640"}
    ssm = account.client("ssm")
    ubuntu = "/aws/service/canonical/ubuntu/server/24.04/stable/current/arm64/hvm/ebs-gp3/ami-id"
    image = ssm.get_parameter(Name=ubuntu)["Parameter"]["Value"]
    assert account.ec2.describe_images(ImageIds=[image])["Images"][0]["Architecture"] == "arm64"


def test_an_order_that_makes_no_sense_is_refused(lab: Lab) -> None:
    with pytest.raises(LabError, match="a fault is one of"):
        lab.fault(service="ec2")
    with pytest.raises(LabError, match="unknown: servce"):
        lab.fault(servce="ec2", lost=True)


@pytest.mark.slow
def test_a_new_instance_is_not_to_be_found_at_first(lab: Lab, account: Account) -> None:
    lab.fault(eventual=2)
    instance = account.launch()
    lab.clear_faults()
    find = once(account, "ec2").describe_instances
    assert code(find, InstanceIds=[instance]) == "InvalidInstanceID.NotFound"
    assert not [r for r in find()["Reservations"] if r["Instances"][0]["InstanceId"] == instance]
    time.sleep(2)
    assert account.describe(instance)["InstanceId"] == instance
