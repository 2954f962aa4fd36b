"""A workstation on the real engine."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsenv import events
from dsenv.config.schema import Workstation
from dsenv.models.machine import Identity, Machine, State
from dsenv.providers.base import Spec
from dsenv.providers.docker.provider import DockerProvider


def docker(*words: str) -> str:
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=True).stdout.strip()


def told(provider: DockerProvider, machine: Machine, *words: str) -> str:
    with provider.transport(machine) as transport:
        return transport.run(list(words)).check().stdout.decode().strip()


def state(provider: DockerProvider, spec: Spec) -> State:
    found = provider.find(spec.identity)
    assert found
    return found.state


@pytest.fixture
def image(base_image: str) -> str:
    """What containers start from; without an engine tests are skipped, and in CI they fail."""
    return base_image


@pytest.fixture(autouse=True)
def one_of_many_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Other tests use the engine at the same time."""
    monkeypatch.setenv("LOGNAME", f"{tmp_path.parent.name}-{tmp_path.name}")


@pytest.fixture
def provider(image: str) -> DockerProvider:
    return DockerProvider()


@pytest.fixture
def spec(tmp_path: Path, image: str) -> Spec:
    return Spec(Identity(tmp_path, "proj", "default"), Workstation(provider="docker", image=image))


@pytest.fixture
def machine(provider: DockerProvider, spec: Spec) -> Iterator[Machine]:
    yield provider.create(spec, events.ignore)
    found = provider.find(spec.identity)
    if found:
        provider.destroy(found, events.ignore)
