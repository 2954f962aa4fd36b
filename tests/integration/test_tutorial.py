"""The tutorial is what happens: every command in it is run, and every line it shows must come, in that order."""

from __future__ import annotations

import fnmatch
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial.md"


def commands() -> Iterator[tuple[str, list[str]]]:
    """Each command with the lines that the page shows below it."""
    for block in re.findall(r"```console\n(.*?)```", TUTORIAL.read_text(encoding="utf-8"), re.DOTALL):
        for part in re.split(r"(?m)^\$ ", block)[1:]:
            command, *lines = part.splitlines()
            yield command, lines


def lacking(shown: list[str], printed: list[str]) -> list[str]:
    """The lines of the page that did not come, in order."""
    rest = iter(printed)
    return [
        line for line in shown if not any(fnmatch.fnmatchcase(candidate.strip(), line.strip()) for candidate in rest)
    ]


@pytest.mark.slow
@pytest.mark.network
def test_the_tutorial(tmp_path: Path, isolation: Path) -> None:
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "DSENV_STORE": str(tmp_path / "runs"),
    }
    ran = 0
    try:
        for command, shown in commands():
            done = subprocess.run(
                ["bash", "-c", command],
                cwd=tmp_path,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
                timeout=300,
            )
            assert lacking(shown, done.stdout.splitlines()) == [], f"$ {command}\n{done.stdout}"
            if command.startswith("mkdir"):
                _use_this_python(tmp_path / "wine/dsenv.toml")
            ran += 1
    finally:
        if (tmp_path / "wine/dsenv.toml").exists():
            dsenv = [sys.executable, "-m", "dsenv", "down", "--yes"]
            subprocess.run(dsenv, cwd=tmp_path / "wine", env=environment, capture_output=True, check=False)
    assert ran > 10


def _use_this_python(file: Path) -> None:
    minor = "{}.{}".format(*sys.version_info[:2])
    file.write_text(re.sub(r'python = "3\.\d+"', f'python = "{minor}"', file.read_text()))


def test_lines_are_matched_in_order() -> None:
    assert lacking(["a*", "c"], ["abc", "x", "c"]) == []
    assert lacking(["c", "a*"], ["abc", "x", "c"]) == ["a*"]
