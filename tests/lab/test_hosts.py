"""What becomes of hosts: stopped, started, rebooted, powered off from inside, interrupted, cut off, impersonated."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import locks
from tests.lab.client import Lab, until
from tests.lab.connecting import Account, host_key, opens, outcome, output, ready

pytestmark = pytest.mark.slow

# When PID 1 began, in ticks since the kernel started; see proc(5). The times of files below /proc are of another kind.
BEGAN = ("cut", "-d", " ", "-f", "22", "/proc/1/stat")


@pytest.fixture
def account(lab: Lab) -> Iterator[Account]:
    made = Account(lab, "hosts")
    yield made
    made.close()


def test_a_stop_keeps_the_disk_and_changes_the_public_address(account: Account) -> None:
    instance = account.launch()
    with account.connect(instance) as client:
        key = host_key(client)
        output(client, "echo kept > ~/file; sync")
    before = account.describe(instance)
    account.ec2.stop_instances(InstanceIds=[instance])
    assert account.describe(instance)["State"]["Name"] in ("stopping", "stopped")
    stopped = account.until_state(instance, "stopped")
    assert "PublicIpAddress" not in stopped
    assert outcome(before["PublicIpAddress"], 22) == "silent"
    assert outcome(before["PrivateIpAddress"], 22) == "silent"
    account.ec2.modify_instance_attribute(InstanceId=instance, InstanceType={"Value": "t3.small"})
    hook = "#cloud-boothook\n#!/bin/sh\necho later > /opt/hook\n"
    account.ec2.modify_instance_attribute(InstanceId=instance, UserData={"Value": hook.encode()})
    account.ec2.start_instances(InstanceIds=[instance])
    with account.connect(instance) as client:
        assert output(client, "cat ~/file /opt/hook").split() == ["kept", "later"]
        assert host_key(client) == key
    after = account.describe(instance)
    assert after["InstanceType"] == "t3.small"
    assert after["PrivateIpAddress"] == before["PrivateIpAddress"]
    assert after["PublicIpAddress"] != before["PublicIpAddress"]
    assert outcome(before["PublicIpAddress"], 22) == "silent"


def test_a_power_off_from_inside_is_seen(account: Account) -> None:
    instance = account.launch()
    with account.connect(instance) as client:
        output(client, "sudo poweroff")
    stopped = account.until_state(instance, "stopped")
    assert stopped["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"
    behavior = {"Value": "terminate"}
    disk = stopped["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    account.ec2.modify_instance_attribute(InstanceId=instance, InstanceInitiatedShutdownBehavior=behavior)
    account.ec2.start_instances(InstanceIds=[instance])
    with account.connect(instance) as client:
        output(client, "sudo shutdown -h now")
    gone = account.until_state(instance, "terminated")
    assert gone["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"
    assert not {instance, disk} & {row["id"] for row in account.lab.ledger()}


def test_reboots_keep_the_address(account: Account) -> None:
    instance = account.launch()
    for how in ("api", "inside"):
        with account.connect(instance) as client:
            ready(client)
            began = output(client, shlex.join(BEGAN))
            address = account.describe(instance)["PublicIpAddress"]
            if how == "api":
                account.ec2.reboot_instances(InstanceIds=[instance])
            else:
                output(client, "sudo reboot")
        _wait_for_another(instance, began)
        assert account.describe(instance)["PublicIpAddress"] == address
        assert account.describe(instance)["State"]["Name"] == "running"


def _wait_for_another(instance: str, began: str) -> None:
    argv = ["docker", "exec", instance, *BEGAN]

    def another() -> bool:
        return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.strip() not in ("", began)

    until(another, "PID 1 is another")


def test_a_group_that_closes_lets_open_sessions_live(account: Account) -> None:
    instance = account.launch()
    with account.connect(instance) as client:
        address = account.describe(instance)["PublicIpAddress"]
        account.ec2.revoke_security_group_ingress(GroupId=account.group, IpPermissions=account.ssh_only())
        assert outcome(address, 22) == "silent"
        assert output(client, "echo alive") == "alive"
        account.ec2.authorize_security_group_ingress(GroupId=account.group, IpPermissions=account.ssh_only())
        assert opens(address, 22)


def test_the_network_of_a_host_is_cut_and_healed(account: Account) -> None:
    instance = account.running()
    address = account.describe(instance)["PublicIpAddress"]
    for what, seen in (("cut", "silent"), ("reset", "refused"), ("heal", "open")):
        account.lab.net(instance, what)
        assert outcome(address, 22) == seen


def test_an_impostor_shows_another_key(account: Account) -> None:
    instance = account.launch()
    with account.connect(instance) as client:
        key = host_key(client)
    address = account.describe(instance)["PublicIpAddress"]
    account.lab.impostor(instance)
    other = until(lambda: _scanned(address), "the impostor answers")
    assert key not in other
    account.lab.unmask(instance)
    until(lambda: key in _scanned(address), "the host answers again")


def _scanned(address: str) -> str:
    argv = ["ssh-keyscan", "-T", "2", "-t", "ed25519", address]
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout


def test_a_crash_is_not_a_shutdown(account: Account) -> None:
    instance = account.running()
    account.lab.crash(instance)
    assert account.until_state(instance, "stopped")["StateReason"]["Code"] == "Server.InternalError"


def test_a_spot_instance_is_taken_back_after_a_notice(account: Account) -> None:
    instance = account.launch(InstanceMarketOptions={"MarketType": "spot"})
    with account.connect(instance) as client:
        facts = account.describe(instance)
        assert facts["InstanceLifecycle"] == "spot"
        wanted = [facts["SpotInstanceRequestId"]]
        request = account.ec2.describe_spot_instance_requests(SpotInstanceRequestIds=wanted)["SpotInstanceRequests"][0]
        assert (request["State"], request["InstanceId"]) == ("active", instance)
        account.lab.interrupt(instance, notice=3)
        notice = "curl -s http://169.254.169.254/latest/meta-data/spot/instance-action"
        assert '"terminate"' in output(client, notice)
    assert account.until_state(instance, "terminated")["StateReason"]["Code"] == "Server.SpotInstanceTermination"


def test_protection_holds_until_it_is_taken_away(account: Account) -> None:
    import botocore.exceptions

    instance = account.running(DisableApiTermination=True)
    with pytest.raises(botocore.exceptions.ClientError, match="OperationNotPermitted"):
        account.ec2.terminate_instances(InstanceIds=[instance])
    account.ec2.modify_instance_attribute(InstanceId=instance, DisableApiTermination={"Value": False})
    account.ec2.terminate_instances(InstanceIds=[instance])
    account.until_state(instance, "terminated")


def test_an_elastic_address_outlives_a_stop(account: Account) -> None:
    instance = account.running()
    elastic = account.ec2.allocate_address(Domain="vpc")
    account.ec2.associate_address(InstanceId=instance, AllocationId=elastic["AllocationId"])
    until(lambda: opens(elastic["PublicIp"], 22), "it answers there")
    account.ec2.stop_instances(InstanceIds=[instance])
    account.until_state(instance, "stopped")
    account.ec2.start_instances(InstanceIds=[instance])
    account.connect(instance).close()
    assert account.describe(instance)["PublicIpAddress"] == elastic["PublicIp"]
    account.ec2.disassociate_address(AssociationId=account.ec2.describe_addresses()["Addresses"][0]["AssociationId"])
    assert outcome(elastic["PublicIp"], 22) == "silent"
    account.ec2.release_address(AllocationId=elastic["AllocationId"])


def test_hosts_of_two_regions_and_ten_at_once(account: Account) -> None:
    other = Account(account.lab, "elsewhere", "eu-central-1")
    try:
        other.launch()
        account.launch(MinCount=1, MaxCount=9)
        boxes = account.lab.boxes()
        assert len({boxes[i]["private"] for i in account.made + other.made}) == 10
        for owner in (account, other):
            for instance in owner.made:
                owner.connect(instance).close()
    finally:
        other.close()


def test_what_a_killed_lab_left_is_swept_by_the_next(host_image: str, tmp_path: Path) -> None:
    first = Lab(tmp_path / "first", "first", host_image)
    first.start()
    account = Account(first, "left")
    instance = account.running()
    address = account.describe(instance)["PublicIpAddress"]
    process = first._process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    listed = ["docker", "ps", "-aq", "--filter", f"name={instance}"]
    assert subprocess.run(listed, capture_output=True, text=True, check=True).stdout
    with Lab(tmp_path / "second", "second", host_image):
        assert not subprocess.run(listed, capture_output=True, text=True, check=True).stdout
        assert not opens(address, 22)
    # Unless yet another lab took its place in the meantime.
    if slot := locks.take(f"slot-{first.slot}"):
        with slot:
            assert not _traces(first)


def _traces(lab: Lab) -> list[str]:
    """Routes, rules and networks of this machine that mention the lab's addresses."""
    told = (("ip", "route"), ("iptables", "-S"), ("iptables", "-t", "nat", "-S"))
    lines = [line for argv in told for line in subprocess.check_output(argv, text=True).splitlines()]
    return [line for line in lines if lab.private in line or lab.gateway in line]
