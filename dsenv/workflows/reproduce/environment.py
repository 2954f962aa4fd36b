"""Chooses and makes the environment of a reproduction. Looking executes nothing: paths come from a record."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from dsenv.agent import activate, distributions
from dsenv.envs import install, lockfile
from dsenv.errors import LockError
from dsenv.events import Cancel, Emit
from dsenv.runs.record import Record
from dsenv.workflows.reproduce.model import Choice


def choose(record: Record) -> Choice:
    """The most faithful environment that can be had.

    In this order: the recorded interpreter if it is on this machine and nothing in it changed, the project's
    lock if the run satisfied it, the recorded distributions from the index, and this machine's programs for a
    command that is not Python.
    """
    facts = record.data.get("environment", {})
    python = facts.get("python") or {}
    version = str(python.get("version", ""))
    recorded = facts.get("distributions", [])
    if not version:
        return Choice("machine", "the command's own programs, as they are on this machine")
    prefix = str(python.get("prefix", ""))
    if prefix and _unchanged(python, recorded):
        note = f"Python {version} in {prefix}, which is on this machine with the same {len(recorded)} packages"
        return Choice("interpreter", note, prefix=prefix, python=version)
    lock = facts.get("lock")
    if lock and facts.get("satisfied") is not False:
        try:
            parsed = lockfile.parse(record.blob(lock), "the recorded lock")
        except LockError:
            parsed = None
        if parsed is not None:
            note = f"the project's lock {parsed.id[:12]}, Python {parsed.python}"
            return Choice("lock", note, lock=parsed, python=parsed.python)
    note = f"Python {version} with the {len(recorded)} recorded packages, from the index"
    return Choice("distributions", note, distributions=tuple(recorded), python=version)


def _unchanged(python: dict[str, Any], recorded: list[Any]) -> bool:
    """Whether the recorded interpreter is here and can import exactly what it could."""
    executable, version = str(python.get("executable", "")), str(python.get("version", ""))
    if not executable.startswith("/") or not os.access(executable, os.X_OK) or _version_at(python) != version:
        return False
    folders = python.get("path")
    found = distributions.scan([str(path) for path in folders]) if isinstance(folders, list) else []
    return _names(found) == _names(recorded)


def _version_at(python: dict[str, Any]) -> str:
    """The version of the interpreter below a prefix, read from what installers leave there."""
    version = str(python.get("version", ""))
    config = Path(str(python.get("prefix", "/nonexistent"))) / "pyvenv.cfg"
    if os.access(config, os.R_OK):
        for line in config.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition("=")
            if key.strip() in {"version", "version_info"}:
                return value.strip() if value.strip().count(".") == 2 else version
    header = Path(str(python.get("base_prefix") or python.get("prefix"))) / "include"
    minor = ".".join(version.split(".")[:2])
    patchlevel = header / f"python{minor}" / "patchlevel.h"
    if os.access(patchlevel, os.R_OK):
        text = patchlevel.read_text(encoding="utf-8", errors="replace")
        return next((w.split('"')[1] for w in text.splitlines() if w.startswith("#define PY_VERSION ")), "")
    return version


def _names(items: list[Any]) -> set[tuple[str, str]]:
    return {(str(item.get("name", "")).lower(), str(item.get("version", ""))) for item in items}


def make(choice: Choice, *, emit: Emit, cancel: Cancel) -> str:
    """The prefix of the environment, installed when it is not there; empty for this machine's programs.

    Raises InstallError.
    """
    if choice.lock is not None:
        return install.here(choice.lock, emit=emit, cancel=cancel).prefix
    if choice.how == "distributions":
        wanted = list(choice.distributions)
        return install.from_distributions(wanted, choice.python, emit=emit, cancel=cancel).prefix
    return choice.prefix


def variables(choice: Choice, prefix: str, recorded_prefix: str, env: dict[str, str]) -> dict[str, str]:
    """The command's variables with the environment active.

    Entries of PATH that lie in the recorded environment give way to the new one.
    """
    if choice.how in {"interpreter", "machine"}:
        return env
    old = recorded_prefix.rstrip("/") + "/"
    path = [entry for entry in env.get("PATH", "").split(":") if not recorded_prefix or not entry.startswith(old)]
    return activate.environ(prefix, env | {"PATH": ":".join(path)})


def command(choice: Choice, prefix: str, python: dict[str, Any], argv: tuple[str, ...]) -> tuple[str, ...]:
    """The argv with programs of the recorded environment replaced by those of the new one."""
    if choice.how in {"interpreter", "machine"} or not argv:
        return argv
    first = argv[0]
    recorded = str(python.get("prefix", "")).rstrip("/")
    if recorded and first.startswith(recorded + "/bin/"):
        return (f"{prefix}/bin/{Path(first).name}", *argv[1:])
    if first.startswith("/") and first == str(python.get("executable", "")):
        return (f"{prefix}/bin/python", *argv[1:])
    return argv
