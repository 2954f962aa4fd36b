from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dsenv.agent import tree
from dsenv.sync.ignore import Rules, Wanted

_LINES = st.sampled_from(
    [
        "*.log",
        "!keep.log",
        "/a",
        "a/",
        "b/**",
        "**/c",
        "a/*.txt",
        "!a/x.txt",
        "x.txt",
        "[ab]",
        "# a",
        "",
        "\\!x",
        "d/e/",
        "*",
        "!*/",
        "!b/",
    ]
)
_FILES = ("a/x.txt", "a/b/c", "b/keep.log", "b/x.log", "c", "d/e/f", "keep.log", "x.txt", "!x", "# a", "d/a", "e f")


def _kept(root: Path, patterns: list[str] | None = None) -> set[str]:
    return {found.path for found in tree.scan(str(root), Rules(root, patterns or []).keeps).found if found.kind == "f"}


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git on this machine")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(top=st.lists(_LINES, max_size=5), inner=st.lists(_LINES, max_size=3), exclude=st.lists(_LINES, max_size=2))
def test_the_verdicts_are_gits(top: list[str], inner: list[str], exclude: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for path in _FILES:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text("x")
        (root / ".gitignore").write_text("\n".join(top))
        (root / "a/.gitignore").write_text("\n".join(inner))
        subprocess.run(["git", "init", "-q", name], check=True)
        (root / ".git/info/exclude").write_text("\n".join(exclude))
        question = b"\0".join(os.fsencode(path) for path in _FILES)
        answer = subprocess.run(
            ["git", "check-ignore", "--stdin", "-z", "--no-index"],
            input=question,
            cwd=root,
            capture_output=True,
            check=False,
        )
        ignored = {os.fsdecode(path) for path in answer.stdout.split(b"\0") if path}
        assert {path for path in _kept(root) if path in _FILES} == set(_FILES) - ignored


def test_what_is_left_out_without_being_told(tmp_path: Path) -> None:
    for path in ("a.py", "__pycache__/a.pyc", ".venv/x", "env/pyvenv.cfg", "conda/conda-meta/h", ".git/HEAD", "b.pyc"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("x")
    assert _kept(tmp_path) == {"a.py"}


def test_who_has_the_last_word(tmp_path: Path) -> None:
    for path in ("data.csv", "big.bin", "raw/x", "b.pyc", "sub/data.csv"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("x")
    (tmp_path / ".gitignore").write_text("data.csv\n")
    (tmp_path / ".dsenvignore").write_text("!/data.csv\nbig.bin\n!b.pyc\n")
    assert _kept(tmp_path, ["raw/"]) == {".dsenvignore", ".gitignore", "b.pyc", "data.csv"}
    assert "big.bin" in _kept(tmp_path, ["!big.bin"])


def test_a_linked_gitignore_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("a\n")
    (tmp_path / ".gitignore").symlink_to("list")
    assert Rules(tmp_path).keeps("a", False)


def test_outputs_by_pattern() -> None:
    wanted = Wanted(["outputs/", "*.ckpt", "!tmp.ckpt"])
    assert "outputs/a/b" in wanted
    assert "x/y.ckpt" in wanted
    assert "tmp.ckpt" not in wanted
    assert "train.py" not in wanted
