"""Instances of the test cloud against the suite of all providers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsenv import events
from dsenv.config import paths
from dsenv.config.schema import Workstation
from dsenv.models.machine import Identity
from dsenv.providers import registry
from dsenv.providers.aws.provider import AwsProvider
from dsenv.providers.base import Provider, Spec
from dsenv.testing.providers import ProviderConformance
from tests.lab.client import Lab

pytestmark = pytest.mark.slow
PROFILE = "workstations"


@pytest.fixture(autouse=True)
def account(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """Credentials for the cloud; nothing may be left in it."""
    for name, value in lab.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DSENV_CHECKIP_URL", lab.check_address)
    yield lab
    assert [entry for entry in lab.ledger() if "dsenv:id" in entry["tags"]] == []


class TestAws(ProviderConformance):
    @pytest.fixture
    def provider(self) -> Provider:
        return registry.load("aws")

    @pytest.fixture
    def settings(self) -> Workstation:
        return Workstation(provider="aws")

    @pytest.fixture
    def bigger(self) -> Workstation:
        return Workstation(provider="aws", size="cpu=4,mem=16")

    def lose(self) -> None:
        super().lose()
        shutil.rmtree(paths.data_dir() / "aws")


@pytest.fixture
def role(account: Lab) -> Iterator[None]:
    """A role that lets a machine register with Systems Manager."""
    import boto3

    iam = boto3.client("iam")
    allowed = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    iam.create_role(
        RoleName=PROFILE, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    )
    policy = {"Effect": "Allow", "Action": "ssm:UpdateInstanceInformation", "Resource": "*"}
    iam.put_role_policy(
        RoleName=PROFILE,
        PolicyName="session",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [policy]}),
    )
    iam.create_instance_profile(InstanceProfileName=PROFILE)
    iam.add_role_to_instance_profile(InstanceProfileName=PROFILE, RoleName=PROFILE)
    yield
    iam.remove_role_from_instance_profile(InstanceProfileName=PROFILE, RoleName=PROFILE)
    iam.delete_instance_profile(InstanceProfileName=PROFILE)
    iam.delete_role_policy(RoleName=PROFILE, PolicyName="session")
    iam.delete_role(RoleName=PROFILE)


def test_a_machine_none_of_whose_ports_is_open(account: Lab, role: None, tmp_path: Path) -> None:
    """Through Session Manager: what differs is the way there."""
    import boto3

    provider = AwsProvider()
    settings = Workstation(provider="aws", access="session-manager", instance_profile=PROFILE)
    machine = provider.create(Spec(Identity(tmp_path, "conformance", "one"), settings), events.ignore)
    try:
        rules = boto3.client("ec2").describe_security_group_rules()["SecurityGroupRules"]
        assert [rule for rule in rules if rule.get("Description", "").startswith("dsenv")] == []
        with provider.transport(machine) as transport:
            transport.put(b"precious", "file")
        machine = provider.start(provider.stop(machine, events.ignore), events.ignore)
        with provider.transport(machine) as transport:
            assert transport.get("file") == b"precious"
    finally:
        provider.destroy(machine, events.ignore)
