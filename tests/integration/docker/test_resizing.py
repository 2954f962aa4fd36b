"""Containers of another size, and what becomes of them when that is broken off."""

from __future__ import annotations

import pytest

from dsenv import events
from dsenv.errors import ProviderError
from dsenv.models.machine import Machine, State
from dsenv.providers.base import BROKEN_RESIZE, Spec
from dsenv.providers.docker import container, engine, memory, names
from dsenv.providers.docker.provider import DockerProvider
from tests.integration.docker.conftest import docker, state, told

pytestmark = pytest.mark.slow


def test_a_size_that_the_engine_has_not(provider: DockerProvider, spec: Spec, machine: Machine) -> None:
    for size, said in (("cpu=100000", "too small"), ("mem=900000", "too small"), ("gpu=1", "no GPUs")):
        wanted = Spec(spec.identity, spec.settings.model_copy(update={"size": size}))
        with pytest.raises(ProviderError, match=said):
            provider.resize(machine, wanted, events.ignore)
    assert provider.refresh(machine) == machine


def test_limits_that_are_lifted_leave_the_rest_as_it_is(provider: DockerProvider, spec: Spec, machine: Machine) -> None:
    """The engine cannot lift them in place, so there is a successor, with what was installed meanwhile."""
    told(provider, machine, "sh", "-c", "echo precious >file; sudo touch /opt/mine")
    small = Spec(spec.identity, spec.settings.model_copy(update={"size": "cpu=1,mem=1"}))
    assert "1 CPU, 1 GB" in provider.resize(machine, small, events.ignore).note
    lifted = provider.resize(machine, spec, events.ignore)
    assert lifted.note == machine.note
    assert lifted.created == machine.created
    assert told(provider, lifted, "sh", "-c", "cat file; ls /opt/mine") == "precious\n/opt/mine"
    provider.destroy(lifted, events.ignore)
    assert [item for item in provider.audit() if item.workstation == machine.identity.id] == []


def test_a_replacement_that_was_broken_off_is_undone(provider: DockerProvider, spec: Spec, machine: Machine) -> None:
    name = names.thing(machine.identity)
    docker("stop", name)
    docker("rename", name, names.replaced(machine.identity))
    assert state(provider, spec) is State.STOPPED
    assert told(provider, provider.create(spec, events.ignore), "echo", "ok") == "ok"
    assert docker("ps", "-aq", "--filter", f"name={names.replaced(machine.identity)}") == ""


@pytest.mark.parametrize("stopped", [False, True])
def test_a_resize_that_was_broken_off_leaves_it_running_when_it_is_repeated(
    provider: DockerProvider, spec: Spec, machine: Machine, stopped: bool
) -> None:
    """Unless it was stopped meanwhile by the one who can know."""
    name = names.thing(machine.identity)
    with engine.connected(machine.region) as there:
        found = container.inspect(there, name)
    assert found
    memory.to_run_again(machine.identity, machine.region, found)
    docker("stop", name)
    docker("rename", name, names.replaced(machine.identity))
    broken = provider.refresh(machine)
    assert BROKEN_RESIZE in broken.note
    told = [item.note for item in provider.audit() if item.workstation == machine.identity.id]
    assert sorted(told) == ["", BROKEN_RESIZE]
    if stopped:
        broken = provider.stop(broken, events.ignore)
        assert BROKEN_RESIZE not in broken.note
    small = Spec(spec.identity, spec.settings.model_copy(update={"size": "cpu=1,mem=1"}))
    assert provider.resize(broken, small, events.ignore).state is (State.STOPPED if stopped else State.RUNNING)
