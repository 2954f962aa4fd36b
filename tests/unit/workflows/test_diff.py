"""Comparing real places: the active environment, the lock, and recorded runs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dsenv.config import load
from dsenv.envs import diff as comparison
from dsenv.envs import fingerprint, install, lockfile
from dsenv.errors import ConfigError, EnvError, LockError, UsageError, WorkstationNotReadyError
from dsenv.events import Cancel, ignore
from dsenv.testing.index import PackageIndex, write_wheel
from dsenv.workflows import diff as workflow
from dsenv.workflows import lock

MINOR = f"{sys.version_info[0]}.{sys.version_info[1]}"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A locked project, whose environment is installed and active."""
    place = tmp_path / "project"
    place.mkdir()
    (place / "requirements.txt").write_text("alpha\n")
    (place / "dsenv.toml").write_text(f'[project]\nname = "p"\n[environment]\npython = "{MINOR}"\n')
    monkeypatch.chdir(place)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
    write_wheel(tmp_path / "wheelhouse", "alpha", "1.0")
    with PackageIndex(tmp_path / "wheelhouse") as served:
        monkeypatch.setenv("UV_DEFAULT_INDEX", served.url)
        lock.lock(load.load(place), emit=ignore, cancel=Cancel())
        made = install.here(lockfile.read(place / "pylock.toml"), emit=ignore, cancel=Cancel())
    monkeypatch.setenv("VIRTUAL_ENV", made.prefix)
    return place


def compare(a: str, b: str) -> comparison.Report:
    return workflow.diff(a, b, emit=ignore, cancel=Cancel())


def test_an_environment_of_the_lock_is_identical_to_the_lock(root: Path) -> None:
    report = compare("local", "lock")
    assert (report.verdict, report.differences) == ("identical", ())
    assert report.digests["lock"][0] == report.digests["lock"][1]
    assert report.digests["content"][0]


def test_an_edited_file_and_a_variable_show(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    (site,) = Path(os.environ["VIRTUAL_ENV"]).glob("lib/python*/site-packages")
    (site / "alpha.py").write_text("edited = True\n")
    report = compare("local", "lock")
    assert report.verdict == "different"
    assert [row.name for row in report.differences] == ["edited files"]


def test_a_missing_lock_and_unknown_places(root: Path) -> None:
    (root / "pylock.toml").unlink()
    with pytest.raises(LockError, match=r"no pylock\.toml"):
        compare("local", "lock")
    with pytest.raises(UsageError, match="cannot look at image:x"):
        compare("image:x", "local")
    with pytest.raises(ConfigError, match="no workstation called nobody"):
        compare("nobody", "local")
    with pytest.raises(WorkstationNotReadyError) as caught:
        compare("default", "local")
    assert caught.value.hint == "dsenv up default"


@pytest.mark.slow
def test_a_lock_needs_a_project_and_local_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VIRTUAL_ENV", sys.prefix)
    with pytest.raises(ConfigError, match=r"no dsenv\.toml"):
        compare("local", "lock")
    assert compare("local", "local").parity


def test_the_active_python_is_the_one_that_a_command_would_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def python(folder: str, name: str = "python") -> str:
        file = tmp_path / folder / "bin" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("#!/bin/sh\n")
        file.chmod(0o755)
        return str(file)

    monkeypatch.setenv("PATH", str(tmp_path / "path" / "bin"))
    with pytest.raises(EnvError, match="no Python here"):
        fingerprint.active_python(tmp_path)
    on_path = python("path", "python3")
    assert fingerprint.active_python(tmp_path) == on_path
    own = python(".venv")
    assert fingerprint.active_python(tmp_path) == own
    assert fingerprint.active_python(None) == on_path
    conda = python("conda")
    monkeypatch.setenv("CONDA_PREFIX", str(tmp_path / "conda"))
    assert fingerprint.active_python(tmp_path) == conda
    active = python("active")
    monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path / "active"))
    assert fingerprint.active_python(tmp_path) == active


def test_a_recorded_run_is_a_place() -> None:
    record = {
        "id": "r1",
        "fingerprint": {"os": {"system": "Linux"}, "python": {"version": "3.9.1"}},
        "environment": {"distributions": [{"name": "a", "version": "1"}], "python": {"version": "3.11.1"}},
    }
    facts = fingerprint.of_run(record)
    assert facts["python"] == {"version": "3.11.1"}
    assert facts["distributions"] == [{"name": "a", "version": "1"}]
    with pytest.raises(EnvError, match="recorded no fingerprint"):
        fingerprint.of_run({"id": "r2"})


@pytest.mark.slow
def test_a_workstation_is_a_place(root: Path) -> None:
    from dsenv.models.machine import Identity
    from dsenv.providers import registry
    from dsenv.providers.base import Spec

    provider = registry.load("local")
    project = load.load(root)
    machine = provider.create(Spec(Identity(root, "p", "default"), project.workstation("default")), ignore)
    try:
        report = compare("default", "lock")
        assert report.verdict == "identical"
        assert report.digests["lock"][0] == report.digests["lock"][1]
        assert compare("local", "default").digests["content"][0] == report.digests["content"][0]
    finally:
        provider.destroy(machine, ignore)


@pytest.mark.slow
def test_a_run_is_a_place_where_its_variables_are_known(root: Path, tmp_path: Path) -> None:
    import os
    import subprocess

    store = tmp_path / "store"
    python = Path(os.environ["VIRTUAL_ENV"]) / "bin" / "python"
    command = [
        sys.executable,
        "-m",
        "dsenv.agent",
        "capture",
        "--store",
        str(store),
        "--",
        str(python),
        "-c",
        "import alpha; 1/0",
    ]
    ran = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "3"}, capture_output=True, check=False)
    assert ran.returncode == 1
    report = workflow.diff("local", "run:last-failed", store=str(store), emit=ignore, cancel=Cancel())
    rows = {row.name: row for row in report.differences}
    assert (rows["OMP_NUM_THREADS"].a, rows["OMP_NUM_THREADS"].b) == (None, "3")
    assert [row.name for row in report.differences if row.layer in {"packages", "os"}] == []
    assert report.verdict == "different"
