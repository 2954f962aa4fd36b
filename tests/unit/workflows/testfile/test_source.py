"""The text of a saved test: words that point to copies, and strings that are what they were."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsenv.agent import schema
from dsenv.errors import UsageError
from dsenv.workflows.testfile import naming, source
from dsenv.workflows.testfile.model import DataFile, Draft


def draft(*files: str, root: str = "/srv/app", **changes: object) -> Draft:
    made = Draft(
        run="20260301T101500-000001-abcd",
        argv=("python", "job.py"),
        python=("python",),
        programs="/srv/venv/bin",
        root=root,
        cwd=root,
        home="/home/me",
        files=tuple(DataFile(file, "0" * 64, 1) for file in files),
    )
    return Draft(**{**vars(made), **changes})


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("batch.csv", '"batch.csv"'),
        ("/srv/app/batch.csv", 'f"{project}/batch.csv"'),
        ("--in=/data/day/x.csv", 'f"--in={there}/data/day/x.csv"'),
        ("/data/day", 'f"{there}/data/day"'),
        ("/data/days", 'f"{there}/data/days"'),  # below /data, which is a folder on the way
        ("/database", '"/database"'),
        ("/srv/app/../../data/day/x.csv", 'f"{there}/data/day/x.csv"'),
        ("../../data/day/x.csv", 'f"{there}/data/day/x.csv"'),
        ("/srv/app:/data/day", 'f"{project}:{there}/data/day"'),
        ("{x} /data/day", 'f"{{x}} {there}/data/day"'),
        ("/usr/bin/env", '"/usr/bin/env"'),
    ],
)
def test_words_point_to_the_copies(word: str, text: str) -> None:
    assert source.expression(word, draft("/data/day/x.csv")) == text


@given(st.text() | st.text(alphabet="'\"\\{}/n ", max_size=12))
def test_a_literal_is_the_string_itself(text: str) -> None:
    assert ast.literal_eval(source.literal(text)) == text
    assert ast.literal_eval(source.expression(text, draft())) == text


@given(st.text(alphabet="'\"\\{}a/ \n", max_size=12))
def test_a_word_with_a_path_in_it_keeps_all_else(text: str) -> None:
    word = f"{text}=/data/day/x.csv"
    shown = source.expression(word, draft("/data/day/x.csv"))
    if "/.." not in word:
        assert eval(shown, {"there": "T", "project": "P"}) == f"{text}=T/data/day/x.csv"


@given(st.text(), st.text(), st.lists(st.text(max_size=20), max_size=3), st.binary(max_size=3))
def test_any_run_gives_a_module_that_compiles(why: str, value: str, words: list[str], stdin: bytes) -> None:
    made = draft(
        "/srv/app/a.csv",
        "/data/b.csv",
        argv=("python", *words),
        env=(("X", value),),
        why=why,
        where=value,
        reduced=(why,),
        stdin=stdin,
        limits=(("as", 5),),
        umask=0o77,
        processors=1,
        timeout=2.5,
        listed=(("/srv/app/spool", ("a", "b/")),),
        redirected=True,
    )
    text = source.text(made, "test_x", Path("/p/tests/test_x.py"), Path("/p"))
    module = ast.parse(text.encode("utf-8", "surrogatepass"))
    assert any(isinstance(node, ast.FunctionDef) and node.name == "test_x" for node in module.body)
    assert "Saved by dsenv from run 20260301T101500-000001-abcd." in (ast.get_docstring(module) or "")
    assert "parents[1]" in text


def test_names() -> None:
    frame: schema.Frame = {"file": "score.py", "function": "Model.score", "line": 1, "line_text": ""}
    found: schema.Signature = {
        "kind": "exception", "type": "json.decoder.JSONDecodeError", "message": "", "frame": frame,
        "signal": None, "cause": None, "exit": None,
    }  # fmt: skip
    assert naming.function("Churn 2", found) == "test_churn_2_json_decode_error_in_score"
    frame["function"] = "<module>"
    assert naming.function("churn", found).endswith("_in_score")
    killed: schema.Signature = {**found, "kind": "signal", "type": None, "signal": "SIGKILL", "frame": None}
    assert naming.function("churn", killed) == "test_churn_sigkill"
    with pytest.raises(UsageError, match="does not find"):
        naming.test_file(Path("score.py"), "test_x")


def test_the_project_of_a_test_is_the_plain_folder_that_it_is_made_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tests").mkdir()
    monkeypatch.chdir(tmp_path)
    assert naming.project_of(tmp_path / "tests" / "test_x.py") == tmp_path
    assert naming.project_of(tmp_path / "new" / "test_x.py") == tmp_path
    (tmp_path / "tests" / "pyproject.toml").touch()
    assert naming.project_of(tmp_path / "tests" / "test_x.py") == tmp_path / "tests"
