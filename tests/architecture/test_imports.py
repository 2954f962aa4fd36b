"""What start-up and the layers may load, proven in fresh processes: a linter cannot see that a deferral defers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = {
    "asyncssh",
    "boto3",
    "botocore",
    "cryptography",
    "docker",
    "paramiko",
    "pathspec",
    "pydantic",
    "rich",
    "textual",
}
POSIX_ONLY = ("fcntl", "grp", "pty", "pwd", "resource", "termios", "tty")


def modules_after(code: str) -> set[str]:
    """Top-level names in sys.modules after `code` ran in a fresh interpreter."""
    script = f"{code}\nimport sys, json; sys.stderr.write('\\n' + json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    return {name.partition(".")[0] for name in json.loads(done.stderr.splitlines()[-1])}


def test_help_loads_no_heavy_library() -> None:
    loaded = modules_after("from dsenv.cli.main import main; assert main(['--help']) == 0")
    assert "typer" in loaded
    assert not loaded & HEAVY


def test_capture_on_the_fast_path_loads_the_standard_library_only() -> None:
    code = (
        "import tempfile; from dsenv import fastpath\n"
        "assert fastpath.try_run(['capture', '--store', tempfile.mkdtemp(), '--', 'true']) == 0"
    )
    outside = modules_after(code) - set(sys.stdlib_module_names) - {"dsenv", "__main__", "sitecustomize", "coverage"}
    assert {name for name in outside if not name.startswith(("_", "a1_coverage"))} == set()


@pytest.mark.parametrize(
    "module", ["dsenv.cli.main", "dsenv.workflows.reproduce", "dsenv.workflows.runs", "dsenv.tui.app"]
)
def test_the_client_imports_where_posix_modules_are_absent(module: str) -> None:
    """Windows has none of these; a module that needs them must import them where it uses them."""
    code = f"""
import sys, importlib.abc
class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in {POSIX_ONLY!r}:
            raise ModuleNotFoundError(name)
for name in {POSIX_ONLY!r}:
    sys.modules.pop(name, None)
# The standard library and third parties may use what is there; the ban is on our own code.
import asyncio, subprocess, typer, pydantic, textual.app, uv, concurrent.futures
if {module!r} == "dsenv.tui.app":
    import textual.widgets, textual.drivers.linux_driver
for name in {POSIX_ONLY!r}:
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Refuse())
import {module}
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_contracts_name_every_layer() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout
