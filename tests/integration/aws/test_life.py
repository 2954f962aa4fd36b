"""What happens to a machine in its life, and that the policy is what it takes."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import fnmatch
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from dsenv import events, resources
from dsenv.config.schema import Workstation
from dsenv.errors import HostKeyError, ProviderError, WorkstationNotReadyError
from dsenv.models.machine import Machine, Needs, State
from dsenv.providers.aws import userdata
from dsenv.providers.aws.provider import AwsProvider
from dsenv.providers.base import Spec
from tests.integration.aws.conftest import Desk
from tests.lab.client import LabError, until

pytestmark = pytest.mark.slow


def _instance(desk: Desk) -> str:
    (row,) = desk.kept("instance")
    return str(row["id"])


def _said(desk: Desk, machine: Machine, *argv: str) -> str:
    with desk.provider.transport(machine) as transport:
        return transport.run(argv).check().stdout.decode()


def _statements() -> list[dict[str, object]]:
    policy = json.loads((resources.templates() / "aws" / "policy.json").read_text(encoding="utf-8"))
    return list(policy["Statement"])


def _actions(statement: dict[str, object]) -> set[str]:
    action = statement["Action"]
    return {str(action)} if isinstance(action, str) else {str(item) for item in action}  # type: ignore[attr-defined]


def test_a_whole_life_needs_the_policy_and_no_more(desk: Desk) -> None:
    desk.lab.calls(clear=True)
    provider = desk.provider
    assert provider.check() == []
    assert provider.advice() != []
    machine = desk.up(spot=True, size="cpu=2,mem=8")
    assert "spot" in machine.note
    assert provider.price(machine) is not None
    machine = provider.start(provider.stop(machine, events.ignore), events.ignore)
    desk.up(ingress=[desk.lab.gateway, "198.51.100.0/24"])
    machine = desk.up()
    provider.destroy(machine, events.ignore)
    machine = desk.up(access="private", ingress=[desk.lab.gateway])
    machine = provider.resize(machine, desk.spec(instance_type="m5.xlarge", access="private"), events.ignore)
    assert provider.audit() != []
    provider.destroy(machine, events.ignore)
    called = {f"{call['service']}:{call['action']}" for call in desk.lab.calls()}
    needed = set().union(*(_actions(item) for item in _statements() if not str(item["Sid"]).startswith("Optional")))
    optional = set().union(*(_actions(item) for item in _statements() if str(item["Sid"]).startswith("Optional")))
    assert called - needed - optional == set()
    rare = {"cloudwatch:GetMetricData", "ec2:CreateTags", "ec2:DescribeVpcs", "servicequotas:GetAWSDefaultServiceQuota"}
    assert needed - called - rare == set()


def test_the_page_shows_the_policy() -> None:
    page = (Path(__file__).parents[3] / "docs/how-to/aws.md").read_text(encoding="utf-8")
    shown = re.search(r"```json\n(.*?)```", page, re.DOTALL)
    assert shown is not None
    assert json.loads(shown[1])["Statement"] == _statements()


def test_what_is_made_is_closed_and_stops_by_itself(desk: Desk) -> None:
    import boto3

    machine = desk.up(Needs(packages=("tree",)))
    ec2 = boto3.client("ec2")
    (group,) = desk.kept("security-group")
    rules = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group["id"]]}])
    inward = [rule for rule in rules["SecurityGroupRules"] if not rule["IsEgress"]]
    assert [(rule["CidrIpv4"], rule["FromPort"], rule["ToPort"]) for rule in inward] == [
        (f"{desk.lab.gateway}/32", 22, 22)
    ]
    described = ec2.describe_instances(InstanceIds=[_instance(desk)])["Reservations"][0]["Instances"][0]
    assert described["MetadataOptions"]["HttpTokens"] == "required"
    assert described["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
    (volume,) = ec2.describe_volumes(VolumeIds=[row["id"] for row in desk.kept("volume")])["Volumes"]
    assert (volume["Encrypted"], volume["VolumeType"], volume["Size"]) == (True, "gp3", 30)
    timers = _said(desk, machine, "systemctl", "list-timers", "--all", "--no-legend")
    assert "dsenv-watch.timer" in timers
    assert "dsenv-life.timer" in timers
    status = userdata.PACKAGES_STATUS
    until(lambda: '"done"' in _said(desk, machine, "cat", status), "the packages are there", 120, 1)
    assert _said(desk, machine, "tree", "--version").startswith("tree")


def test_the_life_time_ends_it_without_python(desk: Desk) -> None:
    """The timer is set by the shell alone, before anything else."""
    machine = desk.up()
    name = _instance(desk)
    desk.lab.run(name, "sh", "-c", "rm -f /usr/bin/python3*; rm -rf /usr/local/lib/dsenv/watch/dsenv")
    assert machine.limits is not None
    script = userdata.new_limits(dataclasses.replace(machine.limits, max_seconds=1))
    with contextlib.suppress(LabError):  # it goes down while the script sees to its timers
        desk.lab.run(name, "sh", "-c", script)
    until(lambda: desk.provider.refresh(machine).state is State.STOPPED, "it has stopped itself", 60, 0.5)


def test_other_limits_reach_a_running_machine(desk: Desk) -> None:
    desk.up()
    machine = desk.up(idle_stop_minutes=7, max_hours=2)
    assert machine.limits is not None
    assert (machine.limits.idle_seconds, machine.limits.max_seconds) == (420, 7200)
    assert '"idle_seconds": 420' in _said(desk, machine, "cat", "/etc/dsenv/limits.json")
    assert "2h" in _said(desk, machine, "systemctl", "cat", "dsenv-life.timer") or "OnBootSec=7200" in _said(
        desk, machine, "systemctl", "cat", "dsenv-life.timer"
    )
    again = desk.provider.start(desk.provider.stop(machine, events.ignore), events.ignore)
    assert '"idle_seconds": 420' in _said(desk, again, "cat", "/etc/dsenv/limits.json")


def test_the_host_key_of_user_data_serves_once(desk: Desk) -> None:
    machine = desk.up()
    assert machine.endpoint is not None
    own = " ".join(_said(desk, machine, "cat", "/etc/ssh/ssh_host_ed25519_key.pub").split()[:2])
    assert machine.endpoint.host_key == own
    assert own not in desk.lab.run(_instance(desk), "sh", "-c", "cat /var/lib/dsenv/keys")
    again = desk.provider.start(desk.provider.stop(machine, events.ignore), events.ignore)
    assert again.endpoint is not None
    assert again.endpoint.host_key == own


def test_another_machine_in_between_is_refused(desk: Desk) -> None:
    machine = desk.up()
    desk.lab.impostor(_instance(desk))
    try:
        with pytest.raises(HostKeyError):
            desk.up()
        with pytest.raises(HostKeyError):
            desk.provider.transport(machine)
    finally:
        desk.lab.unmask(_instance(desk))
    assert _said(desk, machine, "echo", "ours") == "ours\n"


def test_the_address_of_the_caller_changes(desk: Desk) -> None:
    import boto3

    desk.up()
    (group,) = desk.kept("security-group")
    ec2 = boto3.client("ec2")
    entry = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22}
    stale = {"CidrIp": "203.0.113.77/32", "Description": "dsenv: ssh"}
    mine = {"CidrIp": "198.51.100.1/32", "Description": "the user's own"}
    ec2.authorize_security_group_ingress(GroupId=group["id"], IpPermissions=[{**entry, "IpRanges": [stale, mine]}])
    desk.up()
    rules = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group["id"]]}])
    inward = {rule["CidrIpv4"] for rule in rules["SecurityGroupRules"] if not rule["IsEgress"]}
    assert inward == {f"{desk.lab.gateway}/32", "198.51.100.1/32"}


def test_it_is_terminated_behind_our_back(desk: Desk) -> None:
    import boto3

    machine = desk.up()
    boto3.client("ec2").terminate_instances(InstanceIds=[_instance(desk)])
    gone = desk.provider.refresh(machine)
    assert gone.state is State.CRASHED
    with pytest.raises(WorkstationNotReadyError, match="no instance"):
        desk.provider.stop(gone, events.ignore)
    again = desk.up()
    assert again.state is State.RUNNING
    assert any("is gone, and its disk" in text for text in desk.notices())
    assert len(desk.kept("instance")) == 1


def test_a_machine_that_died_is_switched_on(desk: Desk) -> None:
    machine = desk.up()
    desk.lab.crash(_instance(desk))
    until(lambda: desk.provider.refresh(machine).state is State.STOPPED, "the cloud has seen it", 30)
    assert desk.up().state is State.RUNNING


def test_the_keys_of_another_machine_are_not_taken_without_a_word(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one that has the same name and the same folders, too."""
    machine = desk.up()
    monkeypatch.setenv("XDG_DATA_HOME", str(desk.identity.root / "elsewhere"))
    laptop = AwsProvider()
    seen = laptop.find(desk.identity)
    assert seen is not None
    assert seen.state is State.CRASHED
    with pytest.raises(ProviderError) as caught:
        laptop.create(desk.spec(), events.ignore)
    assert caught.value.hint is not None
    assert "dsenv stop one, then dsenv up one" in caught.value.hint
    assert _said(desk, machine, "echo", "still ours") == "still ours\n"
    laptop.stop(seen, events.ignore)
    taken = laptop.create(desk.spec(), events.ignore)
    with laptop.transport(taken) as transport:
        assert transport.run(["true"]).code == 0


def test_it_is_reached_through_a_jump_host(desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The stand-in for ssh is given the words that ssh is given, and connects."""
    program = tmp_path / "bin" / "ssh"
    program.parent.mkdir()
    program.write_text(
        '#!/bin/sh\n[ "$1 $2 $3" = \'-o BatchMode=yes -W\' ] && [ "$5" = bastion ] || exit 9\n'
        "exec python3 -c 'import socket,sys,threading,os\n"
        'h,p=sys.argv[1].rsplit(":",1); s=socket.create_connection((h,int(p)))\n'
        "def back():\n"
        "    while d:=s.recv(65536): os.write(1,d)\n"
        "    os._exit(0)\n"
        "threading.Thread(target=back,daemon=True).start()\n"
        'while d:=os.read(0,65536): s.sendall(d)\n\' "$4"\n'
    )
    program.chmod(0o755)
    import os

    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    machine = desk.up(jump_host="bastion", ingress=[desk.lab.private])
    assert machine.endpoint is not None
    assert machine.endpoint.proxy[0] == "ssh"
    assert fnmatch.fnmatch(machine.endpoint.host, "10.*")
    assert _said(desk, machine, "echo", "there") == "there\n"


def test_what_is_the_users_stays_the_users(desk: Desk) -> None:
    import boto3

    ec2 = boto3.client("ec2")
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    group = ec2.create_security_group(GroupName="mine", Description="mine", VpcId=vpc)["GroupId"]
    entry = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[entry])
    ec2.create_key_pair(KeyName="mine")
    try:
        machine = desk.up(security_group=group, key_pair="mine")
        before = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group]}])
        assert len(before["SecurityGroupRules"]) == 2
        desk.provider.destroy(machine, events.ignore)
        assert desk.provider.find(desk.identity) is None
        assert ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"]
        assert ec2.describe_key_pairs(KeyNames=["mine"])["KeyPairs"]
        # The token of the call has served: the next one makes a new instance all the same.
        assert desk.up(security_group=group).state is State.RUNNING
        desk.provider.destroy(machine, events.ignore)
    finally:
        ec2.delete_security_group(GroupId=group)
        ec2.delete_key_pair(KeyName="mine")


def test_money_is_counted_over_stops(desk: Desk) -> None:
    """Against the cloud's own clock: the times it ran, and the disk all the time."""
    machine = desk.up(instance_type="t3.large")
    made, ran = machine.created / 1e6, 0.0
    for _ in range(2):
        begun = _launched(desk)
        time.sleep(2)
        machine = desk.provider.stop(machine, events.ignore)
        ran += _stopped(desk) - begun
        _costs(desk, machine, made, ran)
        time.sleep(3)
        _costs(desk, machine, made, ran)
        machine = desk.provider.start(machine, events.ignore)
        assert _launched(desk) > begun
    _costs(desk, machine, made, ran + time.time() - _launched(desk))


def test_money_is_counted_when_it_stopped_by_itself(desk: Desk) -> None:
    """AWS does not say when that was; it was measured until then, to five minutes."""
    machine = desk.up(instance_type="t3.large")
    begun = _launched(desk)
    name = _instance(desk)
    with contextlib.suppress(LabError):
        desk.lab.run(name, "systemctl", "poweroff", "--no-block")
    until(lambda: desk.provider.refresh(machine).state is State.STOPPED, "it has stopped itself", 60, 0.2)
    machine = desk.provider.refresh(machine)
    _costs(desk, machine, machine.created / 1e6, time.time() - begun, give=5)
    desk.lab.fault(error="AccessDenied", service="monitoring")
    price = desk.provider.price(machine)
    assert price is not None
    assert 0 < price.so_far < price.per_hour / 3600


def _costs(desk: Desk, machine: Machine, made: float, ran: float, give: float = 2.0) -> None:
    """`ran` and `give` in seconds; AWS counts in whole ones."""
    price = desk.provider.price(machine)
    assert price is not None
    running = (price.so_far - price.stopped_per_hour * (time.time() - made) / 3600) * 3600
    running /= price.per_hour - price.stopped_per_hour
    assert abs(running - ran) < give, (running, ran)


def _described(desk: Desk) -> dict[str, Any]:
    import boto3

    answer = boto3.client("ec2").describe_instances(InstanceIds=[_instance(desk)])
    return dict(answer["Reservations"][0]["Instances"][0])


def _launched(desk: Desk) -> float:
    return float(_described(desk)["LaunchTime"].timestamp())


def _stopped(desk: Desk) -> float:
    found = re.search(r"\((.*) UTC\)", _described(desk)["StateTransitionReason"])
    assert found is not None
    return datetime.datetime.fromisoformat(f"{found[1]}+00:00").timestamp()


def test_orphans_are_known_and_removed(desk: Desk) -> None:
    import boto3

    machine = desk.up()
    ec2 = boto3.client("ec2")
    tags = [{"Key": "dsenv:id", "Value": machine.identity.id}]
    specification = [{"ResourceType": "volume", "Tags": tags}]
    disk = ec2.create_volume(AvailabilityZone="us-east-1a", Size=8, TagSpecifications=specification)["VolumeId"]
    old = [{"ResourceType": "security-group", "Tags": [{"Key": "dsenv:id", "Value": "gone"}]}]
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    group = ec2.create_security_group(GroupName="old", Description="d", VpcId=vpc, TagSpecifications=old)["GroupId"]
    found = desk.provider.audit(["us-east-1"])
    orphans = {item.id: item for item in found if item.orphan}
    assert set(orphans) == {disk, group}
    assert orphans[disk].per_hour
    for item in orphans.values():
        desk.provider.remove(item, events.ignore)
        desk.provider.remove(item, events.ignore)
    assert [item for item in desk.provider.audit() if item.orphan] == []
    assert desk.provider.refresh(machine).state is State.RUNNING


def test_settings_are_the_projects_when_nothing_is_remembered(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    (desk.identity.root / "dsenv.toml").write_text(
        '[project]\nname = "desk"\n[workstations.one]\nprovider = "aws"\nregion = "eu-west-1"\n'
    )
    spec = Spec(desk.identity, Workstation(provider="aws", region="eu-west-1"))
    machine = desk.provider.create(spec, events.ignore)
    assert machine.region == "eu-west-1"
    monkeypatch.setenv("XDG_DATA_HOME", str(desk.identity.root / "new"))
    found = AwsProvider().find(desk.identity)
    assert found is not None
    assert found.region == "eu-west-1"


def test_another_way_there_takes_no_new_machine(desk: Desk) -> None:
    name = desk.up().note
    machine = desk.up(access="private", ingress=[desk.lab.gateway])
    assert machine.note == name
    assert machine.endpoint is not None
    assert machine.endpoint.host.startswith("10.")
    assert _said(desk, machine, "echo", "there") == "there\n"
    assert AwsProvider().find(desk.identity) == machine


def test_a_spot_instance_is_taken_back_while_it_runs(desk: Desk) -> None:
    machine = desk.up(spot=True)
    desk.lab.interrupt(_instance(desk), notice=0.1, action="stop")
    until(lambda: desk.provider.refresh(machine).state is State.STOPPED, "it is taken back", 60, 0.2)
    assert "AWS has taken the spot instance back" in desk.provider.refresh(machine).note
    assert desk.up(spot=True).state is State.RUNNING
    assert any("AWS has taken the spot instance back" in text for text in desk.notices())
    desk.up(spot=True, instance_type="m5.xlarge")
    assert any("dsenv resize one --instance-type m5.xlarge" in text for text in desk.notices())


def test_regions_without_anything_of_ours_are_asked_once(desk: Desk) -> None:
    desk.up()
    desk.lab.calls(clear=True)
    assert {item.region for item in desk.provider.audit()} == {"us-east-1"}
    calls = [(call["region"], call["action"]) for call in desk.lab.calls() if call["service"] == "ec2"]
    # What other tests had elsewhere keeps its tags for a while after its end.
    used = {"us-east-1", *(box["region"] for box in desk.lab.boxes().values())}
    assert {action for region, action in calls if region not in used} == {"DescribeTags"}
    assert len({region for region, _ in calls}) > 10
