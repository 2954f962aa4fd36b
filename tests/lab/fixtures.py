"""What tests ask for: `engine`, `base_image`, `host_image` and `lab`. A plug-in of pytest, named in tests/conftest.py.

Each worker has one lab of its own for the session. Where there can be none, its tests are skipped with the reason; in
CI they fail, because there they must not be missed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.lab import base_image as base
from tests.lab import engine as docker
from tests.lab import host_image as host
from tests.lab.client import Lab


def pytest_unconfigure(config: pytest.Config) -> None:
    """The controller outlives its workers and ends the engine that one of them started."""
    if not hasattr(config, "workerinput") and not docker.obstacle():
        docker.leave()


def unavailable(reason: str) -> None:
    """Skip the test that needs what is missing; where it must not be missing, fail it."""
    if os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def engine() -> None:
    """A Docker Engine that answers."""
    reason = docker.use()
    if reason:
        unavailable(reason)


@pytest.fixture(scope="session")
def base_image(engine: None) -> str:
    """The name of an image: Debian with an SSH server."""
    return base.ensure()


@pytest.fixture(scope="session")
def host_image(engine: None) -> str:
    """The name of an image: what the cloud's instances boot."""
    return host.ensure()


@pytest.fixture(scope="session")
def running_lab(host_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The cloud of this worker, for the whole session."""
    with Lab(tmp_path_factory.mktemp("lab"), os.environ.get("PYTEST_XDIST_WORKER", "main"), host_image) as lab:
        yield lab


@pytest.fixture
def lab(running_lab: Lab) -> Iterator[Lab]:
    """The cloud, without faults and with an empty list of calls. What a test made in it, it takes away itself."""
    running_lab.reset()
    yield running_lab
    running_lab.reset()
