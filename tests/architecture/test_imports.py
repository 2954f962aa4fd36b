"""What start-up and the layers may load, proven in fresh processes: a linter cannot see that a deferral defers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

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
    # Capture closes its own output with that of its command.
    tell = "os.write(said, ('\\n' + json.dumps(sorted(sys.modules))).encode())"
    script = f"import os; said = os.dup(2)\n{code}\nimport sys, json; {tell}"
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
    assert {name for name in outside if not name.startswith(("_", "a1_coverage", "$coverage"))} == set()


# The server process of the embedded workstation runs on POSIX only, and is started as a program.
POSIX_PROGRAMS = {"dsenv.providers.local.asyncssh_server"}


def client_modules() -> list[str]:
    """Every module of the client: all but the agent, which runs on Linux, and what exists for tests."""
    package = ROOT / "dsenv"
    names = []
    for file in sorted(package.rglob("*.py")):
        parts = file.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if parts[1] not in {"agent", "testing", "__main__"} and name not in POSIX_PROGRAMS:
            names.append(name)
    return names


def test_the_client_imports_where_posix_modules_are_absent() -> None:
    """Windows has none of these; a module that needs them must import them where it uses them."""
    code = f"""
import sys, importlib, importlib.abc
# The standard library and third parties may use what is there; the ban is on our own code.
import asyncio, subprocess, typer, pydantic, uv, concurrent.futures, paramiko, boto3, tempfile, shutil, getpass
import textual.app, textual.widgets, textual.drivers.linux_driver, importlib.metadata, pathspec, zipfile
class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in {POSIX_ONLY!r}:
            raise ModuleNotFoundError(name)
for name in {POSIX_ONLY!r}:
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Refuse())
broken = []
for name in {client_modules()!r}:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        broken.append(f"{{name}}: {{error}}")
print("\\n".join(broken))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


def test_contracts_name_every_layer() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout
