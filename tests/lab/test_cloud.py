"""The test cloud keeps its word: one host is booted and everything about it that clients rely on is looked at."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.lab.client import PLUGINS, Lab
from tests.lab.connecting import USER_DATA, Account, host_key, outcome, output, ready

if TYPE_CHECKING:
    import paramiko

CORE = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
TRUST = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}}]}


@dataclasses.dataclass
class Host:
    account: Account
    id: str
    request: dict[str, Any]
    client: paramiko.SSHClient
    facts: dict[str, Any]

    def metadata(self, path: str, *options: str) -> str:
        url = f"http://169.254.169.254/latest/{path}"
        return self.account.lab.run(self.id, "curl", "-s", "-w", " %{http_code}", *options, url)

    def asked_properly(self, path: str) -> str:
        life = "X-aws-ec2-metadata-token-ttl-seconds: 60"
        token = self.metadata("api/token", "-X", "PUT", "-H", life).removesuffix(" 200")
        return self.metadata(path, "-H", f"X-aws-ec2-metadata-token: {token}")


@pytest.fixture(scope="module")
def host(running_lab: Lab) -> Iterator[Host]:
    account = Account(running_lab, "fast")
    iam = account.client("iam")
    iam.create_role(RoleName="fast", AssumeRolePolicyDocument=json.dumps(TRUST))
    iam.attach_role_policy(RoleName="fast", PolicyArn=CORE)
    iam.create_instance_profile(InstanceProfileName="fast")
    iam.add_role_to_instance_profile(InstanceProfileName="fast", RoleName="fast")
    request = account.request(
        UserData=USER_DATA,
        ClientToken="token-fast",
        IamInstanceProfile={"Name": "fast"},
        MetadataOptions={"HttpTokens": "required", "InstanceMetadataTags": "enabled"},
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "owner", "Value": "lab"}]}],
    )
    instance = account.launch(**request)
    with account.connect(instance) as client:
        yield Host(account, instance, request, client, account.describe(instance))
    account.close()
    iam.remove_role_from_instance_profile(InstanceProfileName="fast", RoleName="fast")
    iam.delete_instance_profile(InstanceProfileName="fast")
    iam.detach_role_policy(RoleName="fast", PolicyArn=CORE)
    iam.delete_role(RoleName="fast")


@pytest.mark.slow
def test_user_data_runs_before_and_at_login(host: Host) -> None:
    ready(host.client)
    assert output(host.client, "cat /opt/boothook") == "early"
    assert output(host.client, "cat /opt/written") == "by cloud-config"
    assert output(host.client, "cat /opt/script") == "root"
    assert output(host.client, "whoami; sudo whoami; cat /proc/1/comm").split() == ["admin", "root", "systemd"]


def test_addresses_are_those_that_the_api_says(host: Host) -> None:
    own = output(host.client, "hostname -I").split()
    assert own == [host.facts["PrivateIpAddress"], host.facts["PublicIpAddress"]]


def test_the_console_shows_the_host_key(host: Host) -> None:
    ready(host.client)
    shown = host.account.ec2.get_console_output(InstanceId=host.id)["Output"]
    assert host_key(host.client) in shown


def test_metadata_needs_a_token_and_is_about_the_caller(host: Host) -> None:
    assert host.metadata("meta-data/instance-id").endswith(" 401")
    assert host.metadata("meta-data/instance-id", "-H", "X-aws-ec2-metadata-token: made-up").endswith(" 401")
    assert host.asked_properly("meta-data/instance-id") == f"{host.id} 200"
    assert host.asked_properly("meta-data/tags/instance/owner") == "lab 200"
    assert "text/cloud-boothook" in host.asked_properly("user-data")
    credentials = host.asked_properly("meta-data/iam/security-credentials/fast")
    assert json.loads(credentials.removesuffix(" 200"))["Code"] == "Success"


def test_what_no_group_lets_in_is_dropped(host: Host) -> None:
    address = host.facts["PublicIpAddress"]
    assert outcome(address, 22) == "open"
    assert outcome(address, 23) == "silent"


def test_a_session_needs_no_open_port(host: Host) -> None:
    account = host.account
    known = account.client("ssm").describe_instance_information()["InstanceInformationList"]
    assert host.id in [row["InstanceId"] for row in known]
    account.ec2.revoke_security_group_ingress(GroupId=account.group, IpPermissions=account.ssh_only())
    try:
        assert outcome(host.facts["PublicIpAddress"], 22) == "silent"
        ssm = account.client("ssm")
        asked = {"Target": host.id, "DocumentName": "AWS-StartSSHSession", "Parameters": {"portNumber": ["22"]}}
        answer = ssm.start_session(**asked)
        answer = {name: answer[name] for name in ("SessionId", "TokenValue", "StreamUrl")}
        argv = [str(PLUGINS / "session-manager-plugin"), json.dumps(answer), "us-east-1", "StartSession", "", "{}", ""]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as plugin:
            assert plugin.stdout is not None
            assert plugin.stdout.readline().startswith(b"SSH-2.0-")
            plugin.kill()
        answer["TokenValue"] = "another"
        refused = subprocess.run([argv[0], json.dumps(answer), *argv[2:]], capture_output=True, check=False)
        assert refused.returncode == 255
    finally:
        account.ec2.authorize_security_group_ingress(GroupId=account.group, IpPermissions=account.ssh_only())


def test_the_same_token_is_the_same_instance(host: Host) -> None:
    import botocore.exceptions

    again = host.account.ec2.run_instances(**host.request)["Instances"][0]["InstanceId"]
    assert again == host.id
    with pytest.raises(botocore.exceptions.ClientError, match="IdempotentParameterMismatch"):
        host.account.ec2.run_instances(**{**host.request, "InstanceType": "t3.small"})


def test_the_ledger_knows_what_is_left(host: Host) -> None:
    kinds = {(row["kind"], row["name"] or row["id"]) for row in host.account.lab.ledger()}
    assert {("instance", host.id), ("key-pair", "fast"), ("security-group", "fast"), ("role", "fast")} <= kinds
    mine = [row for row in host.account.lab.ledger() if row["id"] == host.id]
    assert [(row["state"], row["tags"], row["region"]) for row in mine] == [("running", {"owner": "lab"}, "us-east-1")]
    assert any(row["kind"] == "volume" and row["state"] == "in-use" for row in host.account.lab.ledger())


def test_a_group_in_use_stays(host: Host) -> None:
    import botocore.exceptions

    with pytest.raises(botocore.exceptions.ClientError, match="DependencyViolation"):
        host.account.ec2.delete_security_group(GroupId=host.account.group)
