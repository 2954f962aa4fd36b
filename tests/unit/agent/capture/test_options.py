from __future__ import annotations

from pathlib import Path

import pytest

from dsenv.agent.capture.options import ArgumentsError, Options, parse, project_of, store_of


def test_everything_that_can_be_asked_for() -> None:
    words = "--store s3://b/p --run-id 20260102T030405-000000-abcd --kind development --project p --task t --root /r"
    more = [
        "--lock=/l",
        "--replay",
        "/x.json",
        "--json",
        "--",
        "python",
        "-m",
        "x",
        "--",
        "--store",
    ]
    assert parse([*words.split(), *more]) == Options(
        command=["python", "-m", "x", "--", "--store"],
        store="s3://b/p",
        run_id="20260102T030405-000000-abcd",
        kind="development",
        project="p",
        task="t",
        root="/r",
        lock="/l",
        replay="/x.json",
        as_json=True,
    )
    assert parse(["python", "--version"]).command == ["python", "--version"]


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--"], "no command"),
        (["--bogus", "--", "x"], "no option --bogus"),
        (["--json=1", "--", "x"], "no option --json"),
        (["--store"], "needs a value"),
        (["--run-id", "../../x", "--", "x"], "not the id"),
        (["--kind", "test", "--", "x"], "production or development"),
        (["--store", "gs://b", "--", "x"], "folder or s3"),
    ],
)
def test_what_makes_no_sense(words: list[str], problem: str) -> None:
    with pytest.raises(ArgumentsError, match=problem):
        parse(words)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "app" / "src").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "app" / "dsenv.toml").write_text(
        "# comment\n[project]\nname = 'churn'\n\n[environment]\nname = 'x'\n[runs] # here\nkeep = 1\nstore = \"runs\"\n"
    )
    (tmp_path / "app" / "src" / "job.py").touch()
    return tmp_path.resolve()


def test_the_project_is_the_one_above_the_script(tree: Path) -> None:
    found = project_of(parse(["python", "../app/src/job.py"]), str(tree / "other"))
    assert (found.root, found.name, found.store, found.marked) == (
        str(tree / "app"), "churn", str(tree / "app" / "runs"), True,
    )  # fmt: skip
    assert project_of(parse(["--project", "given", "python", "src/job.py"]), str(tree / "app")).name == "given"


def test_else_the_one_above_the_working_folder(tree: Path) -> None:
    assert project_of(parse(["python", "-m", "x"]), str(tree / "app" / "src")).root == str(tree / "app")


def test_else_the_scripts_folder(tree: Path) -> None:
    (tree / "app" / "dsenv.toml").unlink()
    found = project_of(parse(["python", "app/src/job.py"]), str(tree))
    assert (found.root, found.name, found.marked) == (str(tree / "app" / "src"), None, False)


def test_root_decides(tree: Path) -> None:
    found = project_of(parse(["--root", "other", "python", "app/src/job.py"]), str(tree))
    assert found.root.endswith("other")


def test_where_the_record_goes(tree: Path) -> None:
    found = project_of(parse(["x"]), str(tree / "app"))
    asked = parse(["--store", "/asked", "--", "x"])
    assert store_of(asked, found, {"DSENV_STORE": "/env"}) == "/asked"
    assert store_of(parse(["x"]), found, {"DSENV_STORE": "/env"}) == "/env"
    assert store_of(parse(["x"]), found, {}) == str(tree / "app" / "runs")
    bare = project_of(parse(["x"]), str(tree / "other"))
    assert store_of(parse(["x"]), bare, {"HOME": "/h"}) == "/h/.local/share/dsenv/runs"
    (tree / "app" / "dsenv.toml").write_text('[runs]\nstore = "s3://acme/x"\n')
    assert project_of(parse(["x"]), str(tree / "app")).store == "s3://acme/x"
