"""Starting a project: what is detected, what is refused, what is written."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dsenv import resources
from dsenv.config import load
from dsenv.envs.lock import targets
from dsenv.errors import LockError, StateError, UsageError
from dsenv.workflows.init import init

HERE = targets.this_machine()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an active environment whose Python is the tests' own."""
    monkeypatch.setenv("VIRTUAL_ENV", sys.prefix)
    place = tmp_path / "My Project"
    place.mkdir()
    return place


def test_an_empty_folder_becomes_a_project(folder: Path) -> None:
    result = init(folder)
    project = load.load(folder)
    assert project.config.project.name == "My-Project"
    assert (folder / "requirements.txt").is_file()
    assert result.files == ("dsenv.toml", "requirements.txt")
    assert project.config.environment.python == f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert set(project.config.environment.platforms) == {"linux-64", HERE}
    assert any("requirements.txt is a new, empty one" in note for note in result.notes)


def test_an_empty_requirements_file_is_a_source(folder: Path) -> None:
    (folder / "requirements.txt").write_text("")
    assert init(folder).source == "requirements.txt"
    assert (folder / "requirements.txt").read_text() == ""


def test_a_pyproject_gives_name_and_python(folder: Path) -> None:
    (folder / "pyproject.toml").write_text('[project]\nname = "churn"\nversion = "1"\nrequires-python = "==3.9.*"\n')
    result = init(folder)
    assert (result.name, result.source, result.python) == ("churn", "pyproject.toml", "3.9")


def test_the_version_file_decides(folder: Path) -> None:
    (folder / ".python-version").write_text("3.12.4\n")
    assert init(folder).python == "3.12.4"


@pytest.mark.parametrize("requires", [">=4", "no version"])
def test_a_python_that_does_not_exist_is_refused(folder: Path, requires: str) -> None:
    (folder / "pyproject.toml").write_text(f'[project]\nname = "x"\nrequires-python = "{requires}"\n')
    with pytest.raises(LockError, match="requires-python"):
        init(folder)
    assert not (folder / "dsenv.toml").exists()


def test_conda_alone_is_refused_and_beside_pypi_left_aside(folder: Path) -> None:
    (folder / "environment.yml").write_text("dependencies: []\n")
    with pytest.raises(LockError, match="conda"):
        init(folder)
    assert not (folder / "dsenv.toml").exists()
    (folder / "requirements.txt").write_text("")
    result = init(folder)
    assert result.source == "requirements.txt"
    assert any("environment.yml is left aside" in note for note in result.notes)


def test_nothing_is_overwritten(folder: Path) -> None:
    init(folder)
    before = (folder / "dsenv.toml").read_bytes()
    with pytest.raises(UsageError, match="exists already"):
        init(folder)
    assert (folder / "dsenv.toml").read_bytes() == before


def test_a_dry_run_writes_nothing(folder: Path) -> None:
    result = init(folder, dry_run=True)
    assert not result.written
    assert list(folder.iterdir()) == []


def test_every_template_is_a_project(folder: Path) -> None:
    for name in resources.template_names():
        place = folder / name
        place.mkdir()
        result = init(place, template=name)
        project = load.load(place)
        assert project.config.project.name == name
        assert set(result.files) >= {"dsenv.toml"}
        assert all((place / file).is_file() for file in result.files)
        assert (place / project.config.environment.source).is_file()


def test_a_template_never_replaces_files_and_an_unknown_one_is_named(folder: Path) -> None:
    name = resources.template_names()[0]
    taken = next(
        item.name for item in resources.template(name).iterdir() if item.is_file() and item.name != "dsenv.toml"
    )
    (folder / taken).write_text("mine")
    with pytest.raises(UsageError, match="would replace"):
        init(folder, template=name)
    assert (folder / taken).read_text() == "mine"
    with pytest.raises(UsageError, match="no template called nothing") as caught:
        init(folder, template="nothing")
    assert name in (caught.value.hint or "")


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(StateError, match="cannot make"):
        init(file / "project")
