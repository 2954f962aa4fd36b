"""The only caller of uv for solving, exporting and building. Its words are translated into LockError here."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dsenv.agent.install import out_of_reach, with_pips_index
from dsenv.envs import toml
from dsenv.envs.executable import index_arguments, uv_executable
from dsenv.envs.lock import targets
from dsenv.envs.lock.pylock import no_build_for
from dsenv.errors import LockError
from dsenv.events import Cancel

_TAIL = 30
_PROJECT = "dsenv-question"
# What the solver says of a package whose versions cannot be installed somewhere, or anywhere.
_PACKAGE = r"(?P<name>[A-Za-z0-9][\w.-]*)(?P<versions>[=<>~!]=?[^\s,]+(?:,[=<>~!]=?[^\s,]+)*)? ha(?:s|ve) no "
_NO_BUILD = re.compile(_PACKAGE + r"`(?P<where>[^`]+)`-compatible wheels")
_NO_WHEEL = re.compile(_PACKAGE + r"(?:usable wheels|wheels with a matching)")


@dataclasses.dataclass(frozen=True)
class Question:
    """What is to be solved."""

    requirements: tuple[str, ...]
    python: str
    platforms: tuple[str, ...]
    constraints: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    preferred: bytes | None = None  # the lock of before: its versions stay where they may
    upgrade: tuple[str, ...] = ()
    base: Path = Path()  # relative paths in find_links are below it
    dependencies: bool = True  # False: exactly the requirements, consistent or not
    fresh: bool = False  # ask the index even for what is cached


def solve(question: Question, cancel: Cancel) -> dict[str, Any]:
    """Resolve for all platforms at once; returns the solver's pylock document. Raises LockError."""
    with tempfile.TemporaryDirectory(prefix="dsenv-lock-") as name:
        folder = Path(name)
        (folder / "pyproject.toml").write_text(_project(question), encoding="utf-8")
        (folder / "constraints.txt").write_text("".join(f"{line}\n" for line in question.constraints), encoding="utf-8")
        output = folder / "pylock.toml"
        if question.preferred is not None:
            output.write_bytes(question.preferred)
        arguments = ["pip", "compile", "pyproject.toml", "--universal", "--generate-hashes", "--no-build"]
        arguments += ["--format", "pylock.toml", "--output-file", str(output), "--quiet", "--no-header"]
        arguments += ["--python", sys.executable, "--constraints", "constraints.txt"]
        arguments += index_arguments(question.indexes)
        arguments += [] if question.dependencies else ["--no-deps"]
        arguments += ["--refresh"] if question.fresh else []
        for links in question.find_links:
            arguments += ["--find-links", links if "://" in links else str((question.base / links).resolve())]
        arguments += [word for package in question.upgrade for word in ("--upgrade-package", package)]
        _call(arguments, folder, cancel, what="the dependencies cannot be resolved")
        return tomllib.loads(output.read_text(encoding="utf-8"))


def _project(question: Question) -> str:
    """A project that needs what is asked for, on exactly the Pythons and platforms that are asked for."""
    exact = question.python.count(".") == 2
    values = {
        "name": _PROJECT,
        "version": "0",
        "requires-python": f"=={question.python}" + ("" if exact else ".*"),
        "dependencies": list(question.requirements),
    }
    environments = [targets.marker(platform) for platform in question.platforms]
    lines = ["[project]", *(f"{key} = {toml.value(value)}" for key, value in values.items())]
    return "\n".join([*lines, "", "[tool.uv]", f"environments = {toml.value(environments)}", ""])


def export(project: Path, cancel: Cancel) -> dict[str, Any]:
    """What a project's uv.lock says, as a pylock document, without solving. Raises LockError."""
    with tempfile.TemporaryDirectory(prefix="dsenv-lock-") as name:
        output = Path(name) / "pylock.toml"
        arguments = ["export", "--frozen", "--no-emit-project", "--format", "pylock.toml", "--quiet", "--no-header"]
        arguments += ["--project", str(project), "--output-file", str(output)]
        _call(arguments, project, cancel, what=f"{project / 'uv.lock'} cannot be used")
        return tomllib.loads(output.read_text(encoding="utf-8"))


def build_wheel(source: Path, output: Path, python: str, cancel: Cancel) -> Path:
    """Build a folder or an sdist into one wheel in `output`. Raises LockError with the end of the build's log."""
    before = set(output.glob("*.whl"))
    arguments = ["build", "--wheel", "--out-dir", str(output), "--python", python, str(source)]
    _call(arguments, output, cancel, what=f"{source} cannot be built into a wheel")
    made = sorted(set(output.glob("*.whl")) - before)
    if not made:
        raise LockError(f"building {source} made no wheel", hint=f"try it: uv build --wheel {source}")
    return made[0]


def _call(arguments: Sequence[str], folder: Path, cancel: Cancel, *, what: str) -> None:
    environ = with_pips_index(os.environ)
    environ = {key: value for key, value in environ.items() if key not in {"VIRTUAL_ENV", "UV_SYSTEM_PYTHON"}}
    environ |= {"UV_PYTHON_DOWNLOADS": "never", "NO_COLOR": "1"}
    with tempfile.TemporaryFile() as log:
        child = subprocess.Popen(
            [uv_executable(), *arguments],
            cwd=folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
        )
        try:
            while child.poll() is None:
                cancel.check()
                time.sleep(0.01)
        except BaseException:
            child.kill()
            child.wait()
            raise
        if child.returncode == 0:
            return
        log.seek(0)
        text = log.read().decode("utf-8", "replace")
    raise _explain(what, text)


def _explain(what: str, text: str) -> LockError:
    lines = [line.rstrip().replace(_PROJECT, "the project") for line in text.splitlines() if line.strip()]
    # uv's hints name settings of uv, which dsenv makes itself.
    detail = "\n".join([line for line in lines if "tool.uv." not in line][-_TAIL:])
    lower = text.lower()
    unreachable = out_of_reach(text)
    if unreachable:
        return LockError(unreachable[0], hint=unreachable[1], detail=detail)
    if "no space left" in lower:
        return LockError("the disk is full", hint="free some space, then repeat", detail=detail)
    flat = " ".join(text.split())
    unbuilt = _NO_BUILD.search(flat)
    if unbuilt:
        return no_build_for(unbuilt["name"], unbuilt["versions"] or "", _platforms_of(unbuilt["where"]), detail)
    wheelless = _NO_WHEEL.search(flat)
    if wheelless:
        return LockError(
            f"{wheelless['name']} {wheelless['versions'] or ''}".strip() + " has no wheel that can be used",
            hint="pin a version that has wheels, or name its folder or git URL so that dsenv builds it once",
            detail=detail,
        )
    return LockError(what, hint="change the requirements that it names, then repeat `dsenv lock`", detail=detail)


def _platforms_of(condition: str) -> str:
    """The platforms of dsenv.toml that a marker expression of the solver is about."""
    found = [name for name in targets.NAMES if all(part in condition for part in targets.marker(name).split(" and "))]
    return ", ".join(found) or condition
