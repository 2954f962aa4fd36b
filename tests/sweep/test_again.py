"""Commands for a workstation that was reached before: nobody is asked where it is while it is there."""

from __future__ import annotations

import json

import pytest

from tests.lab.client import until
from tests.sweep.aws_world import AwsWorld
from tests.sweep.docker_world import DockerWorld, docker
from tests.sweep.worlds import World

pytestmark = pytest.mark.slow


_COMMANDS = (("sync",), ("run", "--", "python3", "code.py"), ("ssh", "--", "echo", "ok"), ("ps",), ("attach", "last"))


def _quiet(world: World) -> None:
    """It is reached by every command that works on it, and its provider hears nothing of that."""
    (world.project / "code.py").write_text("print('ok')\n")
    world.calls(clear=True)
    for words in _COMMANDS:
        done = world.dsenv(*words)
        assert done.code == 0, str(done)
        assert words[0] in {"sync", "ps"} or done.output == "ok\n", str(done)
    assert world.calls() == []


def _found_again(world: World) -> None:
    world.calls(clear=True)
    done = world.dsenv("run", "--", "echo", "ok")
    assert (done.code, done.output) == (0, "ok\n"), str(done)
    assert world.calls() != []
    _quiet(world)


def _refused(world: World, why: str) -> None:
    done = world.dsenv("run", "--", "true")
    assert done.code == 125, str(done)
    assert why in done.errors


def _off(world: AwsWorld, instance: str) -> None:
    """By somebody else."""
    world.ec2.stop_instances(InstanceIds=[instance])
    until(lambda: world.held() == world.needed("stopped"), "the instance is off")


def _on(world: AwsWorld, instance: str) -> None:
    world.ec2.start_instances(InstanceIds=[instance])
    until(lambda: world.dsenv("status").code == 0, "the instance answers")


def _address(world: World) -> str:
    return str(json.loads(world.remembered().read_text())["endpoint"]["host"])


def test_an_instance(aws_world: AwsWorld) -> None:
    world = aws_world
    world.bring("running")
    _quiet(world)
    (instance,) = [row["id"] for row in world.lab.ledger() if row["kind"] == "instance"]
    _off(world, instance)
    _refused(world, "is stopped")
    assert not world.remembered().exists()
    _on(world, instance)
    _found_again(world)
    before = _address(world)
    _off(world, instance)
    _on(world, instance)
    _found_again(world)
    assert _address(world) != before
    world.lab.impostor(instance)
    try:
        until(lambda: "refused" not in world.dsenv("ps").errors, "the other one answers")
        _refused(world, "host key")
    finally:
        world.lab.unmask(instance)
    until(lambda: world.dsenv("status").code == 0, "the instance answers")
    _quiet(world)


def test_a_container(docker_world: DockerWorld) -> None:
    world = docker_world
    world.bring("running")
    _quiet(world)
    # Another workstation of ours has its port by now, and would let us in with its own key.
    file = world.project / "dsenv.toml"
    text = file.read_text()
    file.write_text(f"{text}[workstations.other]{text.partition('[workstations.default]')[2]}")
    assert world.dsenv("up", "other").code == 0
    try:
        other = next(world.remembered().parent.parent.glob("proj-other-*/machine.json"))
        value = json.loads(world.remembered().read_text())
        value["endpoint"]["port"] = json.loads(other.read_text())["endpoint"]["port"]
        world.remembered().write_text(json.dumps(value))
        _found_again(world)
    finally:
        assert world.dsenv("down", "other", "--yes").code == 0
    docker("stop", f"dsenv-{world.identity.id}")
    _refused(world, "is stopped")
