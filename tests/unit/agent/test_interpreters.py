"""Finding the Python of a lock on a machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from dsenv.agent import interpreters

MINOR = f"{sys.version_info[0]}.{sys.version_info[1]}"
FULL = sys.version.split()[0]


def test_the_running_python_is_found_without_a_path() -> None:
    found = interpreters.find(MINOR, {})
    assert found
    assert found[1].startswith(MINOR + ".")
    assert interpreters.find(FULL, {}) is not None


def test_what_is_not_here_is_not_found() -> None:
    assert interpreters.find("3.39", os.environ) is None
    assert interpreters.find(f"{MINOR}.99", os.environ) is None


@pytest.mark.parametrize(
    ("wanted", "version", "answer"),
    [("3.11", "3.11.2", True), ("3.1", "3.11.2", False), ("3.11.2", "3.11.2", True), ("3.11.2", "3.11.20", False)],
)
def test_which_versions_serve(wanted: str, version: str, answer: bool) -> None:
    assert interpreters.matches(wanted, version) is answer


def script(file: Path, lines: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\n{lines}\n")
    file.chmod(0o755)
    return file


def fake(file: Path, version: str, kind: str = "cpython", level: str = "final") -> Path:
    return script(file, f"printf '%s\\n' {kind} {version} {level} {file}")


def test_the_newest_patch_wins_wherever_it_is(tmp_path: Path) -> None:
    fake(tmp_path / "bin" / "python3.8", "3.8.2")
    newest = fake(tmp_path / "home" / ".pyenv" / "versions" / "3.8.10" / "bin" / "python3.8", "3.8.10")
    fake(tmp_path / "uv" / "cpython-3.8.9-linux" / "bin" / "python3.8", "3.8.9")
    fake(tmp_path / "pyenv" / "versions" / "3.18.1" / "bin" / "python3.8", "3.8.99")
    environ = {
        "PATH": f"{tmp_path}/bin:relative:",
        "HOME": str(tmp_path / "home"),
        "UV_PYTHON_INSTALL_DIR": str(tmp_path / "uv"),
        "PYENV_ROOT": str(tmp_path / "pyenv"),
    }
    found = interpreters.find("3.8", environ)
    assert found
    # The machine may have a real one that is newer still.
    assert found == (str(newest), "3.8.10") or tuple(map(int, found[1].split("."))) > (3, 8, 10)
    listed = list(interpreters.candidates("3.8", environ))
    assert f"{tmp_path}/bin/python3.8" in listed
    assert not any("3.18.1" in path or path.startswith("relative") for path in listed)


def test_what_is_no_released_cpython_is_passed_over(tmp_path: Path) -> None:
    assert interpreters.ask(str(fake(tmp_path / "a", "3.8.1", kind="pypy"))) is None
    assert interpreters.ask(str(fake(tmp_path / "b", "3.8.1", level="alpha"))) is None
    assert interpreters.ask(str(script(tmp_path / "c", "exit 3"))) is None
    assert interpreters.ask(str(tmp_path / "absent")) is None
