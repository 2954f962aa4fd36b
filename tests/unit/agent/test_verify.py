"""Checking installed files against what their packages say."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from dsenv.agent import verify
from dsenv.testing.index import write_wheel


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A site-packages with one package in it."""
    wheel = write_wheel(tmp_path, "alpha", "1.0", {"alpha/__init__.py": "x = 1\n", "alpha/data.txt": "data"})
    folder = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(folder)
    return folder


def test_an_installation_as_it_should_be(site: Path) -> None:
    checked = verify.check(str(site))
    assert (checked.problems, checked.files) == ([], 5)
    assert checked.size > 0


def test_what_installers_add_does_not_change_the_content(site: Path) -> None:
    before = verify.check(str(site)).content
    info = site / "alpha-1.0.dist-info"
    for name in ("INSTALLER", "REQUESTED", "direct_url.json"):
        (info / name).write_text(name)
    record = info / "RECORD"
    added = "".join(f"alpha-1.0.dist-info/{name},,\n" for name in ("INSTALLER", "REQUESTED", "direct_url.json"))
    record.write_text(record.read_text() + added + "alpha/__pycache__/x.pyc,,\n")
    (site / "alpha" / "__pycache__").mkdir()
    (site / "alpha" / "__pycache__" / "x.pyc").write_bytes(b"code")
    checked = verify.check(str(site))
    assert (checked.problems, checked.content) == ([], before)


def test_every_kind_of_damage_is_named(site: Path) -> None:
    before = verify.check(str(site)).content
    (site / "alpha" / "__init__.py").write_text("x = 2\n")
    (site / "alpha" / "data.txt").unlink()
    (site / "slipped.pth").write_text("import os\n")
    checked = verify.check(str(site))
    assert checked.changed == [
        "alpha/__init__.py: is not what the package's RECORD says",
        "alpha/data.txt: No such file or directory",
    ]
    assert checked.unlisted == ["slipped.pth"]
    assert checked.problems[-1] == "slipped.pth: is in no package's RECORD"
    assert checked.content != before


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("alpha/data.txt,md5=abc,4", "alpha/data.txt: has no SHA-256 in its RECORD"),
        ("alpha/data.txt,,", "alpha/data.txt: has no SHA-256 in its RECORD"),
        ("alpha/data.txt,sha256=,4", "alpha/data.txt: is not what the package's RECORD says"),
        ("alpha/data.txt,sha256=YWJj,4", "alpha/data.txt: is not what the package's RECORD says"),
        ("alpha/data.txt,sha256=!!!,4", "alpha/data.txt: is not what the package's RECORD says"),
    ],
)
def test_records_that_prove_nothing_are_problems(site: Path, line: str, problem: str) -> None:
    record = site / "alpha-1.0.dist-info" / "RECORD"
    lines = [line if row.startswith("alpha/data.txt") else row for row in record.read_text().splitlines()]
    record.write_text("\n".join(lines) + "\n")
    assert problem in verify.check(str(site)).changed


def test_a_record_that_is_gone_is_a_problem(site: Path) -> None:
    (site / "alpha-1.0.dist-info" / "RECORD").unlink()
    (problem,) = verify.check(str(site)).changed
    assert problem.startswith("alpha-1.0.dist-info/RECORD: cannot be read")


@pytest.mark.network
@pytest.mark.slow
def test_numeric_facts_of_a_real_numpy(tmp_path: Path) -> None:
    from dsenv.envs.executable import uv_executable

    target = tmp_path / "site"
    command = [uv_executable(), "pip", "install", "-q", "--python", sys.executable, "--target", str(target), "numpy"]
    subprocess.run(command, check=True)
    code = (
        "import sys, json; sys.path.insert(0, sys.argv[1])\nfrom dsenv.agent import numeric\nprint(numeric.collect())"
    )
    done = subprocess.run([sys.executable, "-c", code, str(target)], check=True, capture_output=True, text=True)
    facts = dict(eval(done.stdout))
    assert facts["numpy"]
    assert facts["simd"]
    (blas,) = [item for item in facts["libraries"] if "openblas" in item["file"]]
    assert blas["kernel"]
    assert blas["threads"] >= 1
