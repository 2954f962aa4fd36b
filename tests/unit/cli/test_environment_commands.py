"""The commands init, lock, diff and doctor as they are typed: output, JSON, exit codes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsenv.cli.main import main
from dsenv.testing.index import PackageIndex, write_wheel


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "churn"
    folder.mkdir()
    (folder / "requirements.txt").write_text("alpha<2\n")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("VIRTUAL_ENV", sys.prefix)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
    write_wheel(tmp_path / "wheelhouse", "alpha", "1.0")
    write_wheel(tmp_path / "wheelhouse", "alpha", "2.0")
    with PackageIndex(tmp_path / "wheelhouse") as served:
        monkeypatch.setenv("UV_DEFAULT_INDEX", served.url)
        yield folder


def test_from_nothing_to_a_fresh_lock(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "--dry-run"]) == 0
    assert "would write dsenv.toml" in capsys.readouterr().out
    assert main(["init"]) == 0
    assert capsys.readouterr().out.endswith("next: dsenv lock\n")
    assert main(["init"]) == 2
    assert main(["lock", "--check"]) == 1
    assert "is stale: there is no pylock.toml" in capsys.readouterr().out
    assert main(["lock", "--dry-run"]) == 0
    assert "would write pylock.toml" in capsys.readouterr().out
    assert main(["lock", "--progress", "none"]) == 0
    written = capsys.readouterr()
    assert written.out.startswith("+ alpha 1.0\nwrote pylock.toml: 1 packages")
    assert written.err == ""
    assert main(["lock", "--check"]) == 0
    assert capsys.readouterr().out == "pylock.toml is fresh\n"
    (project / "requirements.txt").write_text("alpha\n")
    assert main(["lock", "--upgrade", "alpha"]) == 0
    assert "~ alpha 1.0 -> 2.0" in capsys.readouterr().out
    (project / "requirements.txt").write_text("")
    assert main(["lock"]) == 0
    assert "- alpha 2.0" in capsys.readouterr().out


def test_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["source"] == "requirements.txt"
    assert main(["lock", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["packages"] == 1
    assert main(["lock", "--check", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["fresh"] is True
    assert main(["diff", "local", "lock", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["verdict"] == "different"
    assert any(row["name"] == "alpha" and row["b"] == "1.0" for row in report["differences"])
    code = main(["doctor", "--json"])
    diagnosis = json.loads(capsys.readouterr().out)
    assert code == (0 if diagnosis["healthy"] else 1)
    assert any(finding["check"] == "lock" and finding["status"] == "ok" for finding in diagnosis["findings"])


@pytest.mark.slow
def test_differences_are_told_with_reason_and_fix(capsys: pytest.CaptureFixture[str]) -> None:
    main(["init"])
    main(["lock"])
    capsys.readouterr()
    assert main(["diff"]) == 1
    text = capsys.readouterr().out
    assert text.startswith("local and lock: different\n")
    assert "alpha: (absent) | 1.0" in text
    assert "fix: pip install alpha==1.0" in text
    assert main(["diff", "local", "local"]) == 0
    assert "local and local: identical" in capsys.readouterr().out


def test_doctor_for_people(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    main(["init"])
    capsys.readouterr()
    assert main(["doctor"]) == 1
    text = capsys.readouterr().out
    assert "FIX   lock" in text
    assert "-> dsenv lock" in text


@pytest.mark.parametrize(
    "arguments", [["--check", "--upgrade", "x"], ["--check", "--from-active"], ["--from-active", "--upgrade", "x"]]
)
def test_options_that_exclude_each_other(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    main(["init"])
    assert main(["lock", *arguments]) == 2
    assert "next: dsenv lock" in capsys.readouterr().err


def test_errors_have_the_documented_codes(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lock"]) == 2
    assert "dsenv init" in capsys.readouterr().err
    main(["init"])
    (project / "requirements.txt").write_text("alpha==9\n")
    assert main(["lock"]) == 3
    assert "alpha==9" in capsys.readouterr().err
    assert main(["diff", "run:", "lock"]) == 2
    assert main(["init", "--template", "nothing"]) == 2


def test_from_active(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import subprocess

    from dsenv.envs.executable import uv_executable

    venv = tmp_path / "venv"
    subprocess.run([uv_executable(), "venv", "-q", "--python", sys.executable, str(venv)], check=True)
    subprocess.run(
        [uv_executable(), "pip", "install", "-q", "--python", str(venv / "bin/python"), "alpha==1.0"], check=True
    )
    monkeypatch.setenv("VIRTUAL_ENV", str(venv))
    main(["init"])
    capsys.readouterr()
    assert main(["lock", "--from-active"]) == 0
    assert capsys.readouterr().out.startswith("+ alpha 1.0\n")
    assert main(["diff", "local", "lock"]) == 0
