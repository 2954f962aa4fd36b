"""SIGKILL before and after every call that changes the account, then the same again."""

from __future__ import annotations

from typing import Any

import pytest

from dsenv import events
from dsenv.models.machine import State
from dsenv.providers.aws import contact
from dsenv.providers.aws.saved import Layout, Saved
from dsenv.providers.base import BROKEN_RESIZE
from tests.integration.aws.conftest import Desk

pytestmark = pytest.mark.slow


def _killed(desk: Desk, verb: str, action: str, when: str, **settings: Any) -> None:
    process = desk.in_a_process(verb, **settings)
    desk.lab.fault(kill=process.pid, when=when, service="ec2", action=action)
    _, errors = process.communicate(b"go\n", timeout=120)
    assert process.returncode == -9, errors.decode()
    desk.lab.clear_faults()


def _works(desk: Desk) -> None:
    machine = desk.provider.find(desk.identity)
    assert machine is not None
    assert machine.state is State.RUNNING
    with desk.provider.transport(machine) as transport:
        assert transport.run(["true"]).code == 0
    assert len(desk.kept("instance")) == 1
    assert len(desk.kept("security-group")) == 1


def test_a_change_of_the_host_key_that_was_killed_at_any_step(desk: Desk) -> None:
    """It ends with one key, the machine's own, and no other is accepted in between."""
    desk.up()
    name, step = str(desk.kept("instance")[0]["id"]), 0
    while True:
        layout = _before_the_change(desk, name)
        step += 1
        process = desk.in_a_process("create", dies=step)
        _, errors = process.communicate(b"go\n", timeout=120)
        if process.returncode == 0:
            break
        assert process.returncode == -9, (step, errors.decode())
        machine = desk.up()
        assert machine.endpoint is not None
        own = desk.lab.run(name, "ssh-keygen", "-y", "-f", "/etc/ssh/ssh_host_ed25519_key")
        assert machine.endpoint.host_key == " ".join(own.split()[:2]), step
        saved = Saved.read(layout)
        assert saved is not None
        assert (saved.rotated, saved.host_keys) == (True, (machine.endpoint.host_key,)), step
        assert not layout.first_host_key.exists(), step
        assert desk.lab.run(name, "sh", "-c", "ls /etc/ssh/dsenv* 2>&1 || true").startswith("ls: cannot access"), step
        with desk.provider.transport(machine) as transport:
            assert transport.run(["true"]).code == 0
    assert step > 10  # what is killed there is not nothing
    # An sshd that has not read the new key yet shows the old one: the one in place is the one to come all the same.
    said = desk.lab.run(name, "sh", "-c", contact.NEXT, "sh", "ssh-ed25519 AAAAold")
    own = desk.lab.run(name, "ssh-keygen", "-y", "-f", "/etc/ssh/ssh_host_ed25519_key")
    assert said.split() == own.split()[:2]


def _before_the_change(desk: Desk, instance: str) -> Layout:
    """As at first contact: the key that the machine shows is one that travelled in user data."""
    layout = Layout.of(desk.identity)
    saved = Saved.read(layout)
    assert saved is not None
    own = desk.lab.run(instance, "cat", "/etc/ssh/ssh_host_ed25519_key")
    layout.first_host_key.write_text(own)
    saved.but(rotated=False)
    return layout


_MAKING = ["CreateSecurityGroup", "AuthorizeSecurityGroupIngress", "RunInstances"]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("action", _MAKING)
def test_up_that_was_killed_is_continued(desk: Desk, action: str, when: str) -> None:
    _killed(desk, "create", action, when)
    desk.up()
    _works(desk)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("action", ["CreateSecurityGroup", "RunInstances"])
def test_up_that_was_killed_is_destroyed(desk: Desk, action: str, when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dsenv.providers.aws.instances.SETTLE_SECONDS", 3.0)
    _killed(desk, "create", action, when)
    machine = desk.provider.find(desk.identity)
    assert machine is not None
    desk.provider.destroy(machine, events.ignore)
    assert desk.kept() == []
    assert desk.provider.find(desk.identity) is None


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("verb, action", [("stop", "StopInstances"), ("start", "StartInstances")])
def test_stop_and_start_that_were_killed(desk: Desk, verb: str, action: str, when: str) -> None:
    machine = desk.up()
    if verb == "start":
        machine = desk.provider.stop(machine, events.ignore)
    _killed(desk, verb, action, when)
    machine = desk.provider.refresh(machine)
    if verb == "stop":
        assert desk.provider.stop(machine, events.ignore).state is State.STOPPED
    desk.up()
    _works(desk)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("action", ["StopInstances", "ModifyInstanceAttribute", "StartInstances"])
def test_a_resize_that_was_killed_ends_as_it_was_when_it_is_repeated(desk: Desk, action: str, when: str) -> None:
    desk.up(instance_type="t3.large")
    _killed(desk, "resize", action, when, instance_type="m5.xlarge")
    machine = desk.provider.find(desk.identity)
    assert machine is not None
    off = (action, when) not in {("StopInstances", "before"), ("StartInstances", "after")}
    assert (BROKEN_RESIZE in machine.note) is off
    assert [bool(item.note) for item in desk.provider.audit() if item.kind == "instance"] == [off]
    machine = desk.provider.resize(machine, desk.spec(instance_type="m5.xlarge"), events.ignore)
    assert machine.note.startswith("m5.xlarge")
    assert BROKEN_RESIZE not in machine.note
    _works(desk)


def test_what_was_switched_off_after_a_resize_that_was_killed_stays_off(desk: Desk) -> None:
    desk.up(instance_type="t3.large")
    _killed(desk, "resize", "ModifyInstanceAttribute", "before", instance_type="m5.xlarge")
    machine = desk.provider.find(desk.identity)
    assert machine is not None
    machine = desk.provider.stop(machine, events.ignore)
    assert BROKEN_RESIZE not in desk.provider.refresh(machine).note
    machine = desk.provider.resize(machine, desk.spec(instance_type="m5.xlarge"), events.ignore)
    assert machine.state is State.STOPPED


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("action", ["TerminateInstances", "DeleteSecurityGroup"])
def test_down_that_was_killed_is_finished(desk: Desk, action: str, when: str) -> None:
    desk.up()
    _killed(desk, "destroy", action, when)
    machine = desk.provider.find(desk.identity)
    assert machine is not None
    assert machine.state is (State.RUNNING if (action, when) == ("TerminateInstances", "before") else State.CRASHED)
    desk.provider.destroy(machine, events.ignore)
    assert desk.kept() == []
    assert desk.provider.find(desk.identity) is None


def test_two_that_are_made_at_once_are_one(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two laptops, each with keys of its own: one gets it, the other is told who has it."""
    monkeypatch.setenv("XDG_DATA_HOME", str(desk.identity.root / "first"))
    first = desk.in_a_process("create")
    monkeypatch.setenv("XDG_DATA_HOME", str(desk.identity.root / "second"))
    # The same machine's name would mean that the keys were lost; this one is another's.
    second = desk.in_a_process("create")
    desk.lab.fault(delay=1.0, service="ec2", action="RunInstances")
    for process in (first, second):
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
    ends = [process.communicate(timeout=200) for process in (first, second)]
    assert 0 in {first.returncode, second.returncode}, ends
    assert len(desk.kept("instance")) == 1
    winner = "first" if first.returncode == 0 else "second"
    monkeypatch.setenv("XDG_DATA_HOME", str(desk.identity.root / winner))


def test_an_answer_that_was_lost_makes_no_second_instance(desk: Desk) -> None:
    desk.lab.fault(lost=True, service="ec2", action="RunInstances", times=1)
    desk.up()
    _works(desk)
    assert [call["action"] for call in desk.lab.calls()].count("RunInstances") >= 2


def test_a_new_instance_that_is_not_seen_at_once_is_waited_for(desk: Desk) -> None:
    desk.lab.fault(eventual=4.0)
    desk.up()
    _works(desk)


def test_an_instance_that_nobody_sees_yet_is_destroyed_all_the_same(desk: Desk) -> None:
    desk.lab.fault(eventual=4.0)
    _killed_keeping_faults(desk, "create", "RunInstances", "after")
    machine = desk.provider.find(desk.identity)
    assert machine is not None
    assert machine.state is State.CRASHED
    desk.provider.destroy(machine, events.ignore)
    assert desk.kept() == []


def _killed_keeping_faults(desk: Desk, verb: str, action: str, when: str) -> None:
    process = desk.in_a_process(verb)
    desk.lab.fault(kill=process.pid, when=when, service="ec2", action=action)
    process.communicate(b"go\n", timeout=120)
    assert process.returncode == -9


def test_the_worker_is_what_it_says(desk: Desk) -> None:
    process = desk.in_a_process("create", instance_type="no.such")
    _, errors = process.communicate(b"go\n", timeout=60)
    assert process.returncode == 1
    assert b"instance_type" in errors
