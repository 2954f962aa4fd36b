"""dsenv.toml: what is found, and how what is wrong is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsenv.config import load
from dsenv.errors import ConfigError


def written(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / load.FILE).write_text(text, encoding="utf-8")
    return folder


def test_the_nearest_project_above_counts(tmp_path: Path) -> None:
    written(tmp_path / "a", '[project]\nname = "outer"\n')
    written(tmp_path / "a/b", '[project]\nname = "inner"\n')
    (tmp_path / "a/b/c").mkdir()
    assert load.load(tmp_path / "a/b/c").config.project.name == "inner"
    assert load.load(tmp_path / "a").root == tmp_path / "a"


def test_no_project_says_what_to_type(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no dsenv\.toml in") as caught:
        load.load(tmp_path)
    assert "dsenv init" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[project]\nname = "x"\n[sync]\nignor = []\n', "dsenv.toml:4: unknown key sync.ignor; did you mean ignore?"),
        ('[project]\nname = "x"\n\n[tusks.t]\nrun = "y"\n', "dsenv.toml:4: unknown key tusks; did you mean tasks?"),
        ('[project]\nname = "x"\n[tasks.t]\nrum = "y"\n', "unknown key tasks.t.rum; did you mean run?"),
        (
            '[project]\nname = "x"\n[tasks.t]\nrun = 3\n',
            "dsenv.toml:4: tasks.t.run: input should be a valid string, not 3",
        ),
        ('[environment]\npython = "3.11"\n', "dsenv.toml:1: project is missing"),
        (
            '[project]\nname = "x"\n[environment]\nplatforms = ["linux-64", "amiga"]\n',
            "dsenv.toml:4: environment.platforms.1",
        ),
        ('[project\nname = "x"\n', "is not valid TOML"),
    ],
)
def test_mistakes_are_named_with_their_line(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load.load(written(tmp_path, text))
    assert expected in f"{caught.value.message}\n{caught.value.detail}"


def test_all_mistakes_are_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load.load(written(tmp_path, '[project]\nname = "x"\n[sync]\nignor = []\npul = []\n'))
    assert "ignor" in caught.value.message
    assert "pul" in (caught.value.detail or "")


def test_bytes_that_are_not_utf8(tmp_path: Path) -> None:
    (tmp_path / load.FILE).write_bytes(b'[project]\nname = "\xff"\n')
    with pytest.raises(ConfigError, match="is not UTF-8"):
        load.load(tmp_path)


def test_default_workstation_needs_no_table(tmp_path: Path) -> None:
    project = load.load(written(tmp_path, '[project]\nname = "x"\n[workstations.big]\nprovider = "aws"\n'))
    assert project.workstation("default").provider == "local"
    assert project.workstation("big").provider == "aws"
    with pytest.raises(ConfigError, match="no workstation called small") as caught:
        project.workstation("small")
    assert "big, default" in (caught.value.hint or "")


def test_a_deleted_working_folder_is_no_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert load.find() is None
    assert load.load_if_any() is None
    with pytest.raises(ConfigError, match="was deleted"):
        load.load()
