"""How the lab's own tests use it: plain boto3 and paramiko, nothing of dsenv's."""

from __future__ import annotations

import base64
import io
import logging
import socket
from typing import TYPE_CHECKING, Any

from tests.lab.client import Lab, until

if TYPE_CHECKING:
    import paramiko

DEBIAN = "/aws/service/debian/release/12/latest/amd64"
# The three kinds of parts that a client may send, and what they leave behind.
USER_DATA = """\
Content-Type: multipart/mixed; boundary="PART"
MIME-Version: 1.0

--PART
Content-Type: text/cloud-boothook; charset="us-ascii"

#!/bin/sh
mkdir -p /opt && echo early > /opt/boothook

--PART
Content-Type: text/cloud-config; charset="us-ascii"

#cloud-config
write_files:
- path: /opt/written
  content: by cloud-config

--PART
Content-Type: text/x-shellscript; charset="us-ascii"

#!/bin/sh
id -un > /opt/script

--PART--
"""


class Account:
    """A caller with a key, a group that lets this machine in by SSH, and the instances it made."""

    def __init__(self, lab: Lab, name: str, region: str = "us-east-1") -> None:
        import boto3
        import paramiko
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        # It prints a traceback for each connection that is refused before the banner.
        logging.getLogger("paramiko").setLevel(logging.CRITICAL)
        self.lab, self.name, self.region = lab, name, region
        self._session = boto3.Session("AKIALAB", "lab", region_name=region)
        self.ec2 = self.client("ec2")
        private = Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        )
        self.key = paramiko.Ed25519Key.from_private_key(io.StringIO(private.decode()))
        public = f"{self.key.get_name()} {self.key.get_base64()} {name}"
        self.ec2.import_key_pair(KeyName=name, PublicKeyMaterial=public.encode())
        self.group: str = self.ec2.create_security_group(GroupName=name, Description=name)["GroupId"]
        self.ec2.authorize_security_group_ingress(GroupId=self.group, IpPermissions=self.ssh_only())
        self.image: str = self.client("ssm").get_parameter(Name=DEBIAN)["Parameter"]["Value"]
        self.made: list[str] = []

    def client(self, service: Any) -> Any:
        return self._session.client(service, endpoint_url=self.lab.endpoint)

    def ssh_only(self) -> list[dict[str, Any]]:
        source = [{"CidrIp": f"{self.lab.gateway}/32"}]
        return [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": source}]

    def request(self, **changes: Any) -> dict[str, Any]:
        """What RunInstances is asked."""
        basic = {"ImageId": self.image, "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1}
        return {**basic, "KeyName": self.name, "SecurityGroupIds": [self.group], **changes}

    def launch(self, **changes: Any) -> str:
        """A new instance, pending."""
        launched = self.ec2.run_instances(**self.request(**changes))["Instances"]
        self.made += [instance["InstanceId"] for instance in launched]
        return self.made[-1]

    def running(self, **changes: Any) -> str:
        """A new instance that answers."""
        instance = self.launch(**changes)
        self.connect(instance).close()
        return instance

    def describe(self, instance: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
        return found

    def until_state(self, instance: str, state: str) -> dict[str, Any]:
        def there() -> dict[str, Any] | None:
            found = self.describe(instance)
            return found if found["State"]["Name"] == state else None

        found = until(there, f"{instance} is {state}")
        assert found is not None
        return found

    def connect(self, instance: str, user: str = "admin") -> paramiko.SSHClient:
        """Log in, as soon as that is possible."""
        address = self.until_state(instance, "running")["PublicIpAddress"]
        client = until(lambda: _login(address, user, self.key), f"login at {address}", every=0.1)
        assert client is not None
        return client

    def close(self) -> None:
        if self.made:
            self.ec2.terminate_instances(InstanceIds=self.made)
        for instance in self.made:
            self.until_state(instance, "terminated")
        self.ec2.delete_security_group(GroupId=self.group)
        self.ec2.delete_key_pair(KeyName=self.name)


def _login(address: str, user: str, key: Any) -> paramiko.SSHClient | None:
    import paramiko

    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
    limits: dict[str, Any] = {"timeout": 5, "banner_timeout": 5, "auth_timeout": 5}
    keys: dict[str, Any] = {"pkey": key, "allow_agent": False, "look_for_keys": False}
    try:
        if not opens(address, 22):
            return None
        client.connect(address, username=user, **keys, **limits)
    except (OSError, EOFError, paramiko.SSHException):
        client.close()
        return None
    return client


def output(client: paramiko.SSHClient, command: str) -> str:
    _, stdout, _ = client.exec_command(command, timeout=30)
    return stdout.read().decode().strip()


def ready(client: paramiko.SSHClient) -> None:
    """Wait until cloud-init is done."""
    finished = "test -e /var/lib/cloud/instance/boot-finished && echo yes"
    until(lambda: output(client, finished), "cloud-init is done")


def host_key(client: paramiko.SSHClient) -> str:
    transport = client.get_transport()
    assert transport is not None
    return transport.get_remote_server_key().get_base64()


def opens(address: str, port: int, seconds: float = 1.0) -> bool:
    """Whether a connection is accepted; silence and refusal are both no."""
    try:
        socket.create_connection((address, port), seconds).close()
    except OSError:
        return False
    return True


def outcome(address: str, port: int, seconds: float = 1.0) -> str:
    """How an attempt to connect ends: open, refused or silent."""
    try:
        socket.create_connection((address, port), seconds).close()
    except TimeoutError:
        return "silent"
    except ConnectionRefusedError:
        return "refused"
    return "open"


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
