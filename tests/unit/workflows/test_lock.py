"""Locking what is installed: nothing is unpinned, nothing is dropped in silence."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsenv.config import load
from dsenv.config.load import Loaded
from dsenv.envs import lockfile
from dsenv.envs.executable import uv_executable
from dsenv.errors import EnvError, LockError
from dsenv.events import Cancel, ignore
from dsenv.testing.index import PackageIndex, write_wheel
from dsenv.workflows import lock as workflow

MINOR = f"{sys.version_info[0]}.{sys.version_info[1]}"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PackageIndex]:
    folder = tmp_path / "wheelhouse"
    write_wheel(folder, "alpha", "1.0")
    write_wheel(folder, "alpha", "2.0")
    write_wheel(folder, "beta", "1.5", requires=["alpha"])
    write_wheel(folder, "ring-one", "1.0", requires=["ring-two"])
    write_wheel(folder, "ring-two", "1.0", requires=["ring-one"])
    write_wheel(folder, "optional", "1.0")
    write_wheel(folder, "host", "1.0", requires=["optional; extra == 'more'"])
    with PackageIndex(folder) as served:
        monkeypatch.setenv("UV_DEFAULT_INDEX", served.url)
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
        yield served


@pytest.fixture
def project(index: PackageIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Loaded:
    """A project that asks for beta, with an active environment."""
    root = tmp_path / "project"
    root.mkdir()
    (root / "requirements.txt").write_text("beta\n")
    (root / "dsenv.toml").write_text(f'[project]\nname = "p"\n[environment]\npython = "{MINOR}"\n')
    subprocess.run([uv_executable(), "venv", "-q", "--python", sys.executable, str(root / ".venv")], check=True)
    monkeypatch.setenv("VIRTUAL_ENV", str(root / ".venv"))
    monkeypatch.chdir(root)
    return load.load(root)


def pip(project: Loaded, *arguments: str) -> None:
    command = [uv_executable(), "pip", "install", "-q", "--python", str(project.root / ".venv/bin/python"), *arguments]
    subprocess.run(command, check=True)


def capture(project: Loaded) -> tuple[workflow.Result, lockfile.Lock]:
    result = workflow.lock_active(project, emit=ignore, cancel=Cancel())
    return result, lockfile.read(project.lock_file)


def test_versions_stay_as_they_are_installed(project: Loaded) -> None:
    pip(project, "alpha==1.0", "beta")
    result, lock = capture(project)
    assert lock.packages == {"alpha": "1.0", "beta": "1.5"}
    assert lock.facts["roots"] == ["beta"]
    assert result.notes == ()
    assert workflow.check(project).fresh
    workflow.lock(project, emit=ignore, cancel=Cancel())
    assert lockfile.read(project.lock_file).packages["alpha"] == "1.0"


def test_leaves_circles_and_optional_packages_are_kept(project: Loaded) -> None:
    pip(project, "beta", "ring-one", "host", "optional")
    result, lock = capture(project)
    assert set(lock.packages) == {"alpha", "beta", "ring-one", "ring-two", "host", "optional"}
    (note,) = result.notes
    assert note.startswith("not in requirements.txt: host, optional, ring-one")


def test_an_edited_file_is_reported(project: Loaded) -> None:
    pip(project, "beta")
    (site,) = (project.root / ".venv" / "lib").glob("python*/site-packages")
    (site / "alpha.py").write_text("edited = True\n")
    result, _ = capture(project)
    assert any(note.startswith("dirty: alpha.py") for note in result.notes)


def test_a_version_that_the_index_does_not_have_stops(project: Loaded, index: PackageIndex) -> None:
    pip(project, "alpha==1.0", "beta")
    (index.folder / "alpha-1.0-py3-none-any.whl").unlink()
    subprocess.run([uv_executable(), "cache", "clean", "-q"], check=True)
    with pytest.raises(LockError, match="cannot be resolved") as caught:
        capture(project)
    assert "alpha==1.0" in (caught.value.detail or "")
    assert not project.lock_file.exists()


def test_local_wheels_become_hashed_wheels_of_the_project(project: Loaded, tmp_path: Path) -> None:
    wheel = write_wheel(tmp_path / "mine", "gamma", "4.0")
    pip(project, "beta", str(wheel))
    _, lock = capture(project)
    (kept,) = lock.local_wheels
    assert kept.filename == wheel.name
    assert (project.root / kept.path).read_bytes() == wheel.read_bytes()
    assert str(tmp_path) not in project.lock_file.read_text()
    wheel.unlink()
    with pytest.raises(LockError, match=r"gamma .* which is not there any more"):
        capture(project)


def test_another_python_is_refused(project: Loaded) -> None:
    file = project.root / "dsenv.toml"
    file.write_text(file.read_text().replace(MINOR, "3.8"))
    with pytest.raises(LockError, match="the active environment has Python") as caught:
        capture(load.load(project.root))
    assert f'python = "{MINOR}"' in (caught.value.hint or "")


def test_a_conda_environment_is_refused(project: Loaded) -> None:
    (project.root / ".venv" / "conda-meta").mkdir()
    with pytest.raises(LockError, match="conda"):
        capture(project)


def test_what_is_asked_for_but_not_installed_is_said(project: Loaded) -> None:
    result, lock = capture(project)
    assert "in requirements.txt but not installed here: beta" in result.notes[0]
    assert lock.packages["beta"] == "1.5"


def test_a_python_that_cannot_describe_itself(project: Loaded, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "broken" / "bin" / "python"
    broken.parent.mkdir(parents=True)
    broken.write_text("#!/bin/sh\necho no libpython >&2; exit 127\n")
    broken.chmod(0o755)
    monkeypatch.setenv("VIRTUAL_ENV", str(broken.parent.parent))
    with pytest.raises(EnvError, match="could not describe itself") as caught:
        capture(project)
    assert caught.value.detail == "no libpython"


@pytest.mark.network
@pytest.mark.slow
def test_a_uv_lock_is_taken_over_without_solving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "project"
    root.mkdir()
    (root / "pyproject.toml").write_text(
        '[project]\nname = "p"\nversion = "0"\nrequires-python = ">=3.11"\ndependencies = ["idna==3.7"]\n'
    )
    subprocess.run([uv_executable(), "lock", "-q", "--project", str(root)], check=True)
    (root / "dsenv.toml").write_text(f'[project]\nname = "p"\n[environment]\npython = "{MINOR}"\nsource = "uv.lock"\n')
    project = load.load(root)
    workflow.lock(project, emit=ignore, cancel=Cancel())
    assert lockfile.read(project.lock_file).packages == {"idna": "3.7"}
    assert workflow.check(project).fresh
