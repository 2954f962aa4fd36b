"""What a record has for a test: everything first, to be reduced afterwards."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from typing import Any

from dsenv.agent import schema
from dsenv.runs.record import Record
from dsenv.workflows.reproduce import listings
from dsenv.workflows.reproduce.model import Plan, Reproduction
from dsenv.workflows.reproduce.plan import SETTINGS, is_below
from dsenv.workflows.testfile.model import DataFile, Draft

# Variables of a shell, a terminal or this machine: the test sets what a program needs of them.
_OF_THE_MACHINE = frozenset(
    ("PATH", "PWD", "OLDPWD", "SHLVL", "_", "HOME", "SHELL", "TERM", "TERMCAP", "LS_COLORS", "HOSTNAME", "TMPDIR")
) | {"VIRTUAL_ENV", "CONDA_PREFIX", "PS1", "SSH_CLIENT", "SSH_CONNECTION", "SSH_TTY", "DISPLAY", "MAIL", "EDITOR"}
_CODE = frozenset((".py", ".pyx", ".sh", ".ipynb", ".cfg", ".ini", ".toml", ".yaml", ".yml", ".json", ".r", ".sql"))
_PROGRAMS = frozenset((".py", ".sh", ".bash", ".ipynb"))
_READ_AT_MOST = 1 << 20
_PYTHON = re.compile(r"python(\d+(\.\d+)*)?")


def complete(record: Record, plan: Plan, result: Reproduction) -> Draft:
    """Everything that the command was given."""
    explained = result.explained_by
    expected = explained.signature if explained else result.recorded
    python: dict[str, Any] = record.data.get("environment", {}).get("python") or {}
    limits = tuple((name, pair[0]) for name, pair in plan.conditions.ulimits.items() if pair[0] >= 0)
    if explained:
        limits = (*(pair for pair in limits if pair[0] != "data"), ("data", explained.limit))
    variables = {**plan.env, **plan.conditions.variables}
    prefix = str(python.get("prefix", ""))
    return Draft(
        run=plan.run.id,
        argv=plan.argv,
        python=_pythons(plan.argv, str(python.get("executable", ""))),
        programs=f"{prefix.rstrip('/')}/bin" if prefix else "",
        root=plan.root,
        cwd=plan.cwd,
        home=plan.env.get("HOME", ""),
        env=tuple(sorted((name, value) for name, value in variables.items() if name not in _OF_THE_MACHINE)),
        files=_files(record, plan),
        listed=tuple((path, tuple(names)) for path, names in _listed(record, plan).items()),
        stdin=record.blob(plan.stdin) if plan.stdin else None,
        limits=limits,
        umask=plan.umask if plan.umask != 0o022 else None,
        processors=plan.conditions.affinity,
        timeout=record.data.get("timeout") if expected and expected["cause"] == "time-out" else None,
        why=said(expected),
        where=_where(expected),
    )


def said(found: schema.Signature | None) -> str:
    """A failure in half a line."""
    if found is None:
        return "no failure"
    if found["kind"] == "exception":
        return f"{found['type']}: {found['message']}" if found["message"] else str(found["type"])
    return f"exit {found['exit']}" if found["kind"] == "exit" else str(found["cause"] or found["signal"])


def _where(found: schema.Signature | None) -> str:
    frame = found["frame"] if found else None
    return f"{frame['file']}:{frame['line']}, in {frame['function']}" if frame else ""


def _pythons(argv: tuple[str, ...], executable: str) -> tuple[str, ...]:
    first = PurePosixPath(argv[0]).name if argv else ""
    named = (word for word in argv if executable and word == executable)
    return tuple(dict.fromkeys((*named, *((argv[0],) if _PYTHON.fullmatch(first) else ()))))


def _files(record: Record, plan: Plan) -> tuple[DataFile, ...]:
    sizes = {item["blob"]: item.get("size", 0) for item in record.inputs() if "blob" in item}
    python: dict[str, Any] = record.data.get("environment", {}).get("python") or {}
    # A script may be told its interpreter, which is read, too: it is the environment's.
    environments = [str(python[name]) for name in ("prefix", "base_prefix", "executable") if python.get(name)]
    return tuple(
        DataFile(item.path, item.blob, sizes.get(item.blob, 0), item.mode)
        for item in plan.inputs
        if item.action == "put"
        and not any(is_below(item.path, folder) for folder in environments)
        and not (is_below(item.path, plan.root) and is_code(item.path, item.mode))
    )


def is_code(path: str, mode: int) -> bool:
    """Whether a file of the project is mended by its developer: the test takes it from the working tree."""
    suffix = PurePosixPath(path).suffix
    return suffix in SETTINGS or suffix in _PROGRAMS or (not suffix and bool(mode & 0o111))


def _listed(record: Record, plan: Plan) -> dict[str, list[str]]:
    found = listings.listed(record.inputs())
    inside = {path for path in found if is_below(path, plan.root)}
    shown = inside | set(listings.coverable((path for path in found if path not in inside), [plan.root]))
    return {path: names for path, names in found.items() if path in shown}


def named_in(folder: Path) -> frozenset[str]:
    """The words of the code in a folder: a mended program reads variables that it did not get to before."""
    found: set[str] = set()
    for top, below, names in os.walk(folder):
        below[:] = [name for name in below if not name.startswith(".") and name != "node_modules"]
        for name in names:
            file = Path(top, name)
            if file.suffix.lower() in _CODE and file.is_file() and file.stat().st_size <= _READ_AT_MOST:
                found.update(re.findall(r"[A-Za-z_]\w*", file.read_text("utf-8", "replace")))
    return frozenset(found)
