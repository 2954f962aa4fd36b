"""What the sweeps share, and the table at their end."""

from __future__ import annotations

import os
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.lab.client import Lab
from tests.sweep.aws_world import AwsWorld
from tests.sweep.commands import Launcher
from tests.sweep.docker_world import DockerWorld, docker
from tests.sweep.engine_proxy import EngineProxy
from tests.sweep.points import WHOLE
from tests.sweep.sweeping import Row

_PROPERTY = "sweep"


@pytest.fixture(scope="session")
def launcher() -> Iterator[Launcher]:
    with Launcher() as launcher:
        yield launcher


@pytest.fixture
def environ(isolation: object) -> dict[str, str]:
    """That of the tests, with no settings of tools in it."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("COVERAGE", "PYTEST"))}


@pytest.fixture
def aws_world(launcher: Launcher, lab: Lab, environ: dict[str, str], tmp_path: Path) -> Iterator[AwsWorld]:
    world = AwsWorld(launcher, tmp_path, environ, lab)
    yield world
    world.forget()


@pytest.fixture(scope="session")
def own_image(base_image: str) -> Iterator[str]:
    """An image that no other test makes workstations from, with all packages in it: builds need no mirror then."""
    name = f"dsenv-sweep:{uuid.uuid4().hex[:12]}"
    script = "command -v sudo || { apt-get -q update && apt-get -q install -y --no-install-recommends sudo procps; }"
    (container,) = docker("create", base_image, "sh", "-c", script)
    docker("start", "--attach", container)
    docker("commit", "--change", f"LABEL sweep={name}", container, name)
    docker("rm", container)
    yield name
    docker("rmi", "--force", name)


@pytest.fixture
def docker_world(launcher: Launcher, own_image: str, environ: dict[str, str], tmp_path: Path) -> Iterator[DockerWorld]:
    (image,) = docker("inspect", "-f", "{{.Id}}", own_image)
    # The path of a socket must be short.
    with TemporaryDirectory(prefix="sweep-") as folder:
        shown = [image]
        with EngineProxy(Path(folder), shown) as proxy:
            world = DockerWorld(launcher, tmp_path, environ, own_image, proxy)
            shown.append(world.identity.id)
            yield world
            world.forget()
            world.without_image()


@pytest.fixture
def judged(record_property: Any) -> Any:
    """Called with the rows of a sweep: puts them into the table, and fails for what is bad."""

    def judge(rows: list[Row]) -> None:
        for command in sorted({row.command for row in rows}):
            these = [row for row in rows if row.command == command]
            killed, followed = sum(row.killed for row in these), sum(row.followed for row in these)
            bad = sum(bool(row.bad) for row in these)
            record_property(_PROPERTY, (f"{these[0].provider} {command}", len(these), killed, followed, bad))
        assert rows
        assert [row for row in rows if row.bad] == []

    return judge


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """How many points of which command, how often the kill came, how many left something wrong."""
    sums: Counter[tuple[str, int]] = Counter()
    names = []
    for reports in ("passed", "failed"):
        for report in terminalreporter.getreports(reports):
            for name, value in getattr(report, "user_properties", ()):
                if name == _PROPERTY and report.when == "call":
                    names.append(value[0])
                    for column, number in enumerate(value[1:]):
                        sums[value[0], column] += number
    if names:
        terminalreporter.section("killed at every point" if WHOLE else "killed at some points (all: DSENV_SWEEP=all)")
        terminalreporter.write_line(f"{'command':<40} points killed states    bad")
        for name in sorted(set(names)):
            terminalreporter.write_line(f"{name:<40} " + " ".join(f"{sums[name, column]:>6}" for column in range(4)))
