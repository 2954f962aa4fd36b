"""What users and accounts get wrong, by the commands: the exit code, the next command to type, and what is left."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.client import Lab, until
from tests.sweep.aws_world import AwsWorld
from tests.sweep.commands import Done, Launcher
from tests.sweep.points import Point

pytestmark = pytest.mark.slow  # no host is booted for most of them, but there are forty commands

USAGE, PROVIDER, CONNECTION, STATE = 2, 4, 5, 6


@pytest.fixture
def world(launcher: Launcher, lab: Lab, environ: dict[str, str], tmp_path: Path) -> Iterator[AwsWorld]:
    world = AwsWorld(launcher, tmp_path, environ, lab)
    yield world
    lab.reset()
    world.forget()


def _refused(done: Done, code: int, *words: str) -> None:
    """It ended with this code, said these words and what to type next, and showed no inside of ours."""
    assert done.code == code, str(done)
    assert re.search(r"^error: .", done.errors, re.MULTILINE), str(done)
    assert re.search(r"^  next: .", done.errors, re.MULTILINE), str(done)
    for word in words:
        assert word in done.errors, str(done)
    assert "Traceback" not in done.errors + done.output
    assert not re.search(r"botocore|ClientError|<\w+ object", done.errors), str(done)


def _nothing(world: AwsWorld) -> None:
    """There is no workstation, here or there, and nothing stands in the way of the next."""
    assert world.dsenv("down", "--yes").code == 0
    assert world.held() == []
    assert world.litter() == []


def _settings(world: AwsWorld, text: str) -> None:
    file = world.project / "dsenv.toml"
    file.write_text(f"{file.read_text()}\n{text}\n")


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_DEFAULT_REGION"])
def test_no_credentials_or_region(world: AwsWorld, name: str) -> None:
    said = {"AWS_ACCESS_KEY_ID": "no AWS credentials", "AWS_DEFAULT_REGION": "no AWS region"}[name]
    kept = world.environ.pop(name)
    _refused(world.dsenv("up"), PROVIDER, said)
    world.environ[name] = kept
    _nothing(world)


def test_a_profile_that_is_not_there(world: AwsWorld) -> None:
    world.environ["AWS_PROFILE"] = "nobody"
    _refused(world.dsenv("up"), PROVIDER, "nobody", "aws configure")
    del world.environ["AWS_PROFILE"]
    _nothing(world)


@pytest.mark.parametrize(
    "code, words",
    [("ExpiredToken", "have expired"), ("AuthFailure", "does not accept"), ("UnauthorizedOperation", "may not")],
)
def test_credentials_that_are_refused(world: AwsWorld, code: str, words: str) -> None:
    world.lab.fault(error=code, message="No")
    for command in (("up",), ("stop",), ("audit", "--provider", "aws")):
        _refused(world.dsenv(*command), PROVIDER, words)
    world.environ["DOCKER_HOST"] = "unix:///nowhere"
    for command, code_of_others in ((("ls",), 0), (("audit",), PROVIDER)):  # others may answer
        done = world.dsenv(*command)
        assert done.code == code_of_others, str(done)
        assert "Traceback" not in done.errors
    world.lab.clear_faults()
    _nothing(world)


def test_a_region_that_is_none(world: AwsWorld) -> None:
    _settings(world, 'region = "mars-north-1"')
    _refused(world.dsenv("up"), PROVIDER, "region")
    assert world.held() == []


@pytest.mark.parametrize(
    "setting, said",
    [
        ('instance_profile = "nobodys"', "instance_profile"),
        ('subnet = "subnet-00000000000000000"', "subnet"),
        ('image = "ami-00000000000000000"', "image"),
        ('access = "session-manager"', "instance_profile"),
        ('ingress = ["everybody"]', "ingress"),
    ],
)
def test_a_setting_that_the_account_has_not(world: AwsWorld, setting: str, said: str) -> None:
    _settings(world, setting)
    _refused(world.dsenv("up"), PROVIDER, said)
    _nothing(world)


@pytest.mark.parametrize(
    "setting, value, code",
    [
        ("security_group", "sg-00000000000000000", "InvalidGroup.NotFound"),
        ("key_pair", "somebodys", "InvalidKeyPair.NotFound"),
    ],
)
def test_a_group_or_key_of_others(world: AwsWorld, setting: str, value: str, code: str) -> None:
    """AWS looks at these when it makes the instance; the cloud of the tests does not look."""
    _settings(world, f'{setting} = "{value}"')
    world.lab.fault(error=code, service="ec2", action="RunInstances")
    _refused(world.dsenv("up"), PROVIDER, setting)
    _nothing(world)


@pytest.mark.parametrize(
    "words, code, said",
    [
        (("up", "--instance-type", "no.such"), PROVIDER, "no.such"),
        (("up", "--size", "cpu=99999"), PROVIDER, "size"),
        (("up", "--size", "huge"), USAGE, "size"),
        (("up", "--provider", "azure"), PROVIDER, "azure"),
        (("up", "--like", "run:nothing"), USAGE, "nothing"),
        (("up", "not a name"), USAGE, "name"),
        (("stop",), PROVIDER, "dsenv up"),
        (("start",), PROVIDER, "dsenv up"),
        (("resize", "--size", "cpu=4"), PROVIDER, "dsenv up"),
        (("ssh", "--", "true"), PROVIDER, "dsenv up"),
        (("audit", "--provider", "local"), PROVIDER, "local"),
    ],
)
def test_words_that_cannot_be(world: AwsWorld, words: tuple[str, ...], code: int, said: str) -> None:
    _refused(world.dsenv(*words), code, said)
    _nothing(world)


@pytest.mark.parametrize(
    "setting, said",
    [("instance_typ = 1", "instance_type"), ("disk_gb = -1", "disk_gb"), ("spot = 7", "spot"), ("= x", "dsenv.toml")],
)
def test_a_file_of_settings_that_is_wrong(world: AwsWorld, setting: str, said: str) -> None:
    _settings(world, setting)
    _refused(world.dsenv("up"), USAGE, said)
    assert world.held() == []


def test_the_quota_is_used_up(world: AwsWorld) -> None:
    world.lab.quota("L-1216C47A", 1)
    _refused(world.dsenv("up"), PROVIDER, "quota", "region")
    _nothing(world)


def test_no_zone_has_room(world: AwsWorld) -> None:
    world.lab.fault(error="InsufficientInstanceCapacity", service="ec2", action="RunInstances")
    _refused(world.dsenv("up"), PROVIDER, "us-east-1a", "us-east-1b", "instance_type")
    _nothing(world)


def test_our_files_are_damaged(world: AwsWorld) -> None:
    world.killed(("up",), Point("before", "ec2:CreateSecurityGroup", 1))
    (file,) = (world.home / ".local/share/dsenv/aws").glob("*/aws.json")
    good = file.read_bytes()
    file.write_bytes(good[:100])
    for command in ("up", "down", "stop"):
        _refused(world.dsenv(command), STATE, str(file))
    file.write_bytes(good.replace(b'"version": 1', b'"version": 99'))
    _refused(world.dsenv("up"), STATE, "newer", "upgrade")
    file.write_bytes(good)
    _nothing(world)


def test_half_a_workstation(world: AwsWorld) -> None:
    """Every command says that it is one, and which command helps."""
    done = world.killed(("up",), Point("before", "ec2:CreateSecurityGroup", 1))
    assert done.killed
    assert [item["state"] for item in world.listed()] == ["crashed"]
    for words in (("stop",), ("start",), ("resize", "--size", "cpu=4"), ("ssh", "--", "true"), ("ps",), ("sync",)):
        _refused(world.dsenv(*words), PROVIDER, "dsenv up")
    _refused(world.dsenv("run", "--", "true"), 125, "dsenv up")
    _nothing(world)


def test_a_group_with_our_name_that_is_not_ours(world: AwsWorld) -> None:
    """Nothing is opened in it, and nothing of it goes when the workstation goes."""
    world.killed(("up",), Point("before", "ec2:CreateSecurityGroup", 1))
    (call,) = [call for call in world.lab.calls() if call["action"] == "CreateSecurityGroup"]
    name, vpc = call["params"]["GroupName"], call["params"]["VpcId"]
    _nothing(world)
    group = world.ec2.create_security_group(GroupName=name, Description="somebody's", VpcId=vpc)["GroupId"]
    try:
        _refused(world.dsenv("up"), PROVIDER, name)
        assert world.dsenv("down", "--yes").code == 0
        assert [row["id"] for row in world.lab.ledger() if row["kind"] == "security-group"] == [group]
        rules = world.ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group]}])
        assert [rule for rule in rules["SecurityGroupRules"] if not rule["IsEgress"]] == []
    finally:
        world.ec2.delete_security_group(GroupId=group)


def test_terminated_behind_our_back(world: AwsWorld) -> None:
    world.bring("running")
    (instance,) = [row["id"] for row in world.lab.ledger() if row["kind"] == "instance"]
    world.ec2.terminate_instances(InstanceIds=[instance])
    until(lambda: ("instance", "shutting-down") not in world.held() and len(world.held()) < 3, "it is gone")
    assert [item["state"] for item in world.listed()] == ["crashed"]
    for words in (("stop",), ("start",), ("resize", "--size", "cpu=4"), ("ssh", "--", "true")):
        _refused(world.dsenv(*words), PROVIDER, "dsenv up")
    again = world.dsenv("up")
    assert again.code == 0, str(again)
    assert "is gone, and its disk" in again.errors
    assert world.wrong("running") == []
    world.bring("absent")
    _nothing(world)


def test_another_laptops_workstation_and_another_host_at_its_address(world: AwsWorld) -> None:
    world.bring("running")
    (instance,) = [row["id"] for row in world.lab.ledger() if row["kind"] == "instance"]
    world.lab.impostor(instance)
    try:
        for words in (("up",), ("ssh", "--", "true")):
            _refused(world.dsenv(*words), CONNECTION, "host key")
    finally:
        world.lab.unmask(instance)
    world.ec2.create_tags(Resources=[instance], Tags=[{"Key": "dsenv:host", "Value": "another-laptop"}])
    mine = world.environ["HOME"]
    world.environ["HOME"] = f"{mine}-of-another"
    Path(world.environ["HOME"]).mkdir()
    _refused(world.dsenv("up"), PROVIDER, "another-laptop", "dsenv stop", "dsenv up")
    world.environ["HOME"] = mine
    assert world.wrong("running") == []
    world.bring("absent")
    _nothing(world)


def test_one_that_cannot_be_asked_for_is_forgotten_and_found_again_by_its_tags(world: AwsWorld) -> None:
    world.bring("running")
    _refused(world.dsenv("down", "--forget", "--yes"), PROVIDER, "default is there, running", "dsenv down default")
    kept = world.environ.pop("AWS_ACCESS_KEY_ID")
    done = world.dsenv("down", "--forget", "--yes")
    assert done.code == 0, str(done)
    for words in ("nothing is destroyed", "there are no AWS credentials here", "(t3.large, i-", "dsenv audit"):
        assert words in done.output, str(done)
    assert world.litter() == []
    world.environ["AWS_ACCESS_KEY_ID"] = kept
    assert world.held() == world.needed("running")
    _nothing(world)


def test_two_at_once_for_one_name(world: AwsWorld) -> None:
    """One waits; both end the same; there is one instance."""
    argv = [sys.executable, "-m", "dsenv", "up", "--json"]
    environ = world.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
    both = [subprocess.Popen(argv, cwd=world.project, env=environ, text=True, **pipes) for _ in range(2)]
    ends = [process.communicate(timeout=200) for process in both]
    assert [process.returncode for process in both] == [0, 0], ends
    said = [Done((), 0, *end).json() for end in ends]
    assert {item["was"] for item in said} == {"missing", "running"}
    assert len({(item["alias"], item["home"], item["state"]) for item in said}) == 1
    assert world.wrong("running") == []
    assert [call["action"] for call in world.lab.calls()].count("RunInstances") == 1
    world.state = "running"
    world.bring("absent")
    _nothing(world)
