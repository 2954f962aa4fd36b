"""Workstations in the test cloud, which keeps the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from tests.lab.client import Lab, until
from tests.sweep.commands import Launcher
from tests.sweep.points import Point
from tests.sweep.worlds import World

SIZES = ("t3.large", "m5.xlarge")


class AwsWorld(World):
    provider: ClassVar[str] = "aws"

    def __init__(self, launcher: Launcher, base: Path, environ: dict[str, str], lab: Lab) -> None:
        self.lab = lab
        environ = environ | lab.environment() | {"DSENV_CHECKIP_URL": lab.check_address}
        super().__init__(launcher, base, environ, f'instance_type = "{SIZES[0]}"')
        self._others = {row["id"] for row in lab.ledger()}
        self.ec2 = _client(environ)

    def calls(self, *, clear: bool = False) -> list[str]:
        return [f"{call['service']}:{call['action']}" for call in self.lab.calls(clear=clear)]

    def arm(self, pid: int, point: Point) -> None:
        service, _, action = point.label.partition(":")
        self.lab.fault(kill=pid, at=point.at, when=point.kind, service=service, action=action)

    def disarm(self) -> None:
        self.lab.clear_faults()

    def _rows(self) -> list[dict[str, Any]]:
        return [row for row in self.lab.ledger() if row["id"] not in self._others]

    def held(self) -> list[tuple[str, str]]:
        return sorted((row["kind"], row["state"]) for row in self._rows())

    def needed(self, state: str) -> list[tuple[str, str]]:
        if state == "absent":
            return []
        return [("instance", state), ("security-group", ""), ("volume", "in-use")]

    def size(self) -> str:
        (instance,) = (row["id"] for row in self._rows() if row["kind"] == "instance")
        answer = self.ec2.describe_instances(InstanceIds=[instance])
        return str(answer["Reservations"][0]["Instances"][0]["InstanceType"])

    def details(self) -> object:
        """The rules of the groups, the size, and the names of the tags."""
        found: list[object] = []
        for row in self._rows():
            found.append(sorted(row["tags"]))
            if row["kind"] == "security-group":
                filters = [{"Name": "group-id", "Values": [row["id"]]}]
                rules = self.ec2.describe_security_group_rules(Filters=filters)["SecurityGroupRules"]
                found.append(len(rules))
            if row["kind"] == "instance" and row["state"] != "shutting-down":
                found.append(self.size())
        return found

    def destroy(self) -> None:
        rows = self._rows()
        instances = [row["id"] for row in rows if row["kind"] == "instance"]
        if instances:
            self.ec2.terminate_instances(InstanceIds=instances)
            until(lambda: not [row for row in self._rows() if row["kind"] == "instance"], "the instances are gone")
        for row in self._rows():
            if row["kind"] == "volume":
                self.ec2.delete_volume(VolumeId=row["id"])
            if row["kind"] == "security-group":
                self.ec2.delete_security_group(GroupId=row["id"])


def _client(environ: dict[str, str]) -> Any:
    import boto3

    return boto3.client(
        "ec2",
        region_name=environ["AWS_DEFAULT_REGION"],
        endpoint_url=environ["AWS_ENDPOINT_URL"],
        aws_access_key_id=environ["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environ["AWS_SECRET_ACCESS_KEY"],
    )
