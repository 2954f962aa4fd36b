"""Reading what projects ask for: requirements files with all their syntax, pyproject.toml, uv.lock, conda's files."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsenv.envs import requirements_txt, spec
from dsenv.errors import LockError


def read(folder: Path, text: str) -> requirements_txt.Requirements:
    file = folder / "requirements.txt"
    file.write_text(text)
    return requirements_txt.read(file)


def test_the_syntax_of_requirements_files(tmp_path: Path) -> None:
    (tmp_path / "base.txt").write_text("gamma>=1\n-c limits.txt\n")
    (tmp_path / "limits.txt").write_text("alpha<3\n")
    (tmp_path / "wheels").mkdir()
    found = read(
        tmp_path,
        "\ufeff# a comment\nalpha == 1.0 ; python_version < '4'  # why\nBeta[extra]>=2,\\\n<3\n-r base.txt\n"
        "delta==1 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n--find-links wheels\n--pre\n"
        "--extra-index-url https://example.invalid/simple\n",
    )
    assert found.requirements == ['alpha==1.0; python_version < "4"', "Beta[extra]<3,>=2", "gamma>=1", "delta==1"]
    assert found.constraints == ["alpha<3"]
    assert found.hashes == {"delta": {"aa", "bb"}}
    assert found.find_links == [str(tmp_path / "wheels")]
    assert found.indexes == ["", "https://example.invalid/simple"]


def test_an_index_replaces_the_default_and_keeps_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "s3cret")
    found = read(tmp_path, "--extra-index-url https://b.invalid/simple\n-i https://${TOKEN}@a.invalid/simple\n")
    assert found.indexes == ["https://s3cret@a.invalid/simple", "https://b.invalid/simple"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("./pkg", ("directory", "", "")),
        ("-e ./pkg", ("directory", "", "")),
        ("--editable=./pkg[test]", ("directory", "", "")),
        ("pkg @ file:{root}/pkg", ("directory", "pkg", "")),
        ("pkg[x,a] @ ./pkg ; python_version > '3'", ("directory", "pkg", "")),
        ("git+https://example.invalid/a/b.git@v1#egg=b&subdirectory=sub", ("git", "b", "v1")),
        ("b @ git+ssh://git@example.invalid/a/b.git", ("git", "b", "")),
        ("https://example.invalid/c-1-py3-none-any.whl", ("archive", "", "")),
        ("{root}/c-1-py3-none-any.whl", ("archive", "", "")),
    ],
)
def test_requirements_that_no_index_serves(tmp_path: Path, line: str, expected: tuple[str, str, str]) -> None:
    (tmp_path / "pkg").mkdir()
    (tmp_path / "c-1-py3-none-any.whl").write_bytes(b"")
    (source,) = read(tmp_path, line.replace("{root}", str(tmp_path)) + "\n").sources
    assert (source.kind, source.name, source.revision) == expected
    assert source.editable is line.startswith(("-e", "--editable"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("alpha\n=== broken\n", r"requirements\.txt:2: .* is not a requirement"),
        ("--whatever\n", r"requirements\.txt:1: dsenv does not know the option --whatever"),
        ("-e nothing-here\n", "neither a folder nor a git URL"),
        ("./absent\n", "there is no"),
        ("-r absent.txt\n", "there is no .*absent"),
        ("-r requirements.txt\n", "include each other"),
        ("hg+https://example.invalid/x\n", "only git is supported"),
    ],
)
def test_lines_that_cannot_be_used_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(LockError, match=message):
        read(tmp_path, text)


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    file.write_bytes(b"alpha\n\xff\xfe")
    with pytest.raises(LockError, match="is not UTF-8"):
        requirements_txt.read(file)
    with pytest.raises(LockError, match="cannot read"):
        requirements_txt.read(tmp_path)


def write_pyproject(folder: Path, text: str) -> Path:
    file = folder / "pyproject.toml"
    file.write_text(text)
    return file


def test_a_pyproject_with_sources_and_indexes(tmp_path: Path) -> None:
    (tmp_path / "libs").mkdir()
    file = write_pyproject(
        tmp_path,
        """
[project]
name = "x"
requires-python = ">=3.11"
dependencies = ["alpha>=1", "lib[fast]; sys_platform == 'linux'", "tool", "direct @ https://example.invalid/d-1.tar.gz"]
[tool.uv]
constraint-dependencies = ["beta<2"]
[tool.uv.sources]
Lib = { path = "libs" }
tool = { git = "https://example.invalid/tool.git", tag = "v2", subdirectory = "py" }
[[tool.uv.index]]
url = "https://example.invalid/simple"
""",
    )
    found = spec.read(file)
    assert found.requirements == ("alpha>=1",)
    assert [(s.name, s.kind, s.revision, s.subdirectory, s.extras) for s in found.sources] == [
        ("lib", "directory", "", "", ("fast",)),
        ("tool", "git", "v2", "py", ()),
        ("direct", "archive", "", "", ()),
    ]
    assert (found.constraints, found.requires_python) == (("beta<2",), ">=3.11")
    assert found.indexes == ("", "https://example.invalid/simple")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[tool.poetry]\n", r"no \[project\] table"),
        ('[project]\nname = "x"\ndynamic = ["dependencies"]\n', "dynamic"),
        ('[project]\nname = "x"\ndependencies = ["=="]\n', "is not a requirement"),
        ("[project\n", "is not valid TOML"),
    ],
)
def test_a_pyproject_that_cannot_be_used(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(LockError, match=message) as caught:
        spec.read(write_pyproject(tmp_path, text))
    assert caught.value.hint


@pytest.mark.parametrize("name", ["environment.yml", "environment.yaml", "pixi.lock", "conda-lock.yml"])
def test_conda_is_refused_with_a_way_out(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("dependencies: [numpy]\n")
    with pytest.raises(LockError, match="cannot lock yet") as caught:
        spec.read(tmp_path / name)
    assert "requirements.txt" in (caught.value.hint or "")


def test_detection_prefers_locks_and_passes_over_files_that_configure_tools(tmp_path: Path) -> None:
    assert spec.detect(tmp_path) is None
    (tmp_path / "requirements.txt").write_text("")
    write_pyproject(tmp_path, "[tool.ruff]\n")
    assert spec.detect(tmp_path) == tmp_path / "requirements.txt"
    write_pyproject(tmp_path, '[project]\nname = "x"\n')
    assert spec.detect(tmp_path) == tmp_path / "pyproject.toml"
    (tmp_path / "uv.lock").write_text("version = 1\n")
    assert spec.detect(tmp_path) == tmp_path / "uv.lock"


def test_a_uv_lock_needs_its_project(tmp_path: Path) -> None:
    (tmp_path / "uv.lock").write_text('version = 1\nrequires-python = ">=3.12"\n')
    with pytest.raises(LockError, match=r"no pyproject\.toml beside"):
        spec.read(tmp_path / "uv.lock")
    write_pyproject(tmp_path, '[project]\nname = "x"\n')
    assert spec.read(tmp_path / "uv.lock").requires_python == ">=3.12"


def test_a_missing_source_is_named(tmp_path: Path) -> None:
    for name in ("requirements.txt", "pyproject.toml", "uv.lock"):
        with pytest.raises(LockError, match="there is no") as caught:
            spec.read(tmp_path / name)
        assert "dsenv.toml" in (caught.value.hint or "")


def test_the_digest_of_a_local_source_follows_its_content(tmp_path: Path) -> None:
    source = requirements_txt.Source("directory", str(tmp_path))
    (tmp_path / "a.py").write_text("1")
    before = spec.source_digest(source)
    for noise in (".git/x", "__pycache__/a.pyc", "build/lib/a.py", "x.egg-info/PKG-INFO"):
        (tmp_path / noise).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / noise).write_text("noise")
    assert spec.source_digest(source) == before
    (tmp_path / "a.py").write_text("2")
    assert spec.source_digest(source) != before
    remote = requirements_txt.Source("git", "https://u:p@example.invalid/x.git", revision="v1")
    assert spec.source_digest(remote) == "https://example.invalid/x.git@v1#"
