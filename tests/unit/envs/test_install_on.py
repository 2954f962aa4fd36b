"""Installing on a workstation: the agent goes over, uv and wheels follow, the answer comes back."""

from __future__ import annotations

import dataclasses
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dsenv.config.load import Loaded
from dsenv.envs import fingerprint, install, lockfile
from dsenv.errors import InstallError
from dsenv.events import Cancel, Cancelled, Event, Progress, ignore
from dsenv.testing.index import PackageIndex, write_wheel
from dsenv.transports.local import LocalTransport
from dsenv.workflows import lock as workflow

MakeProject = Callable[..., Loaded]
MINOR = f"{sys.version_info[0]}.{sys.version_info[1]}"


@pytest.fixture
def workstation(index: PackageIndex, tmp_path: Path) -> Iterator[LocalTransport]:
    home = tmp_path / "workstation"
    home.mkdir()
    with LocalTransport(home) as transport:
        yield transport


@pytest.fixture
def lock(index: PackageIndex, make_project: MakeProject, tmp_path: Path) -> lockfile.Lock:
    write_wheel(tmp_path / "links", "gamma", "4.0")
    project = make_project("--find-links ../links\nbeta\ngamma\n")
    settings = project.config.environment.model_copy(update={"python": MINOR})
    config = project.config.model_copy(update={"environment": settings})
    workflow.lock(dataclasses.replace(project, config=config), emit=ignore, cancel=Cancel())
    return lockfile.read(project.lock_file)


def on(transport: LocalTransport, lock: lockfile.Lock, **options: object) -> install.Environment:
    return install.on(transport, lock, emit=ignore, cancel=Cancel(), python=sys.executable, **options)  # type: ignore[arg-type]


def test_a_lock_with_wheels_of_its_own_is_installed_over_there(
    workstation: LocalTransport, lock: lockfile.Lock, tmp_path: Path
) -> None:
    events: list[Event] = []
    place = str(tmp_path / "shared")
    made = install.on(workstation, lock, emit=events.append, cancel=Cancel(), python=sys.executable, envs_dir=place)
    assert made.rung == "index"
    assert made.prefix.startswith(place)
    assert any(isinstance(event, Progress) and event.unit == "checking files" for event in events)
    result = workstation.run([made.python, "-c", "import gamma, beta; print(gamma.version)"])
    assert result.stdout == b"4.0\n"
    assert on(workstation, lock, envs_dir=place).rung == "present"
    facts = fingerprint.on(workstation, sys.executable, environment=lock.id, envs_dir=place)
    assert facts["lock_id"] == lock.id
    assert facts["content"] == made.content
    assert {item["name"] for item in facts["distributions"]} == {"alpha", "beta", "gamma"}


def test_what_goes_wrong_over_there_is_an_error_here(
    workstation: LocalTransport, lock: lockfile.Lock, index: PackageIndex, tmp_path: Path
) -> None:
    write_wheel(index.folder, "alpha", "2.0", {"alpha.py": "stolen\n"})
    shutil.rmtree(tmp_path / "uv-cache")
    with pytest.raises(InstallError, match="not the one in the lock") as caught:
        on(workstation, lock)
    assert "alpha" in (caught.value.detail or "")


def test_an_agent_that_dies_is_an_error(workstation: LocalTransport, lock: lockfile.Lock, tmp_path: Path) -> None:
    for name, body, message in (
        ("silent", "echo dying >&2; exit 9", "without an answer"),
        ("strange", "echo hello", "something unknown"),
    ):
        python = tmp_path / name
        python.write_text(f"#!/bin/sh\n{body}\n")
        python.chmod(0o755)
        with pytest.raises(InstallError, match=message):
            install.on(workstation, lock, emit=ignore, cancel=Cancel(), python=str(python))


def test_a_request_to_stop_ends_the_conversation(
    workstation: LocalTransport, lock: lockfile.Lock, tmp_path: Path
) -> None:
    python = tmp_path / "slow"
    python.write_text("#!/bin/sh\nexec sleep 30\n")
    python.chmod(0o755)
    cancel = Cancel()
    timer = threading.Timer(0.3, cancel.set)
    timer.start()
    with pytest.raises(Cancelled):
        install.on(workstation, lock, emit=ignore, cancel=cancel, python=str(python))
    timer.join()


def test_a_machine_of_another_kind_without_uv_is_refused(lock: lockfile.Lock, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("test", "sh", "cat", "mkdir", "mktemp", "chmod", "mv", "rm", "dirname", "sha256sum", "pwd", "python3"):
        found = shutil.which(name)
        assert found
        (tools / name).symlink_to(found)
    (tools / "uname").write_text("#!/bin/sh\necho Plan9 mips\n")
    (tools / "uname").chmod(0o755)
    home = tmp_path / "elsewhere"
    home.mkdir()

    class Elsewhere(LocalTransport):
        """A machine on which our own paths mean nothing."""

        def run(self, argv: object, **options: object) -> object:  # type: ignore[override]
            words = list(argv)  # type: ignore[call-overload]
            if words[0].endswith("/uv"):
                words[0] = "/not-there/uv"
            return super().run(words, **options)  # type: ignore[arg-type]

    with (
        Elsewhere(home, {"PATH": str(tools)}) as transport,
        pytest.raises(InstallError, match="is a Plan9 mips and has no uv") as caught,
    ):
        on(transport, lock)
    assert "pip install" in (caught.value.hint or "")
