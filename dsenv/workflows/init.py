"""Start a project: write dsenv.toml from what is there. Asks nothing."""

from __future__ import annotations

import dataclasses
import os
import re
import sys
import tomllib
from importlib.resources.abc import Traversable
from pathlib import Path

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from dsenv import resources
from dsenv.agent import interpreters
from dsenv.config import load
from dsenv.envs import fingerprint, spec, toml
from dsenv.envs.lock import targets
from dsenv.errors import EnvError, LockError, StateError, UsageError
from dsenv.state import store

_CONDA = ("environment.yml", "environment.yaml", "pixi.lock")
_MINORS = range(8, 40)


@dataclasses.dataclass(frozen=True)
class Result:
    """What was decided, and the files that were (or would be) written, relative to the folder."""

    folder: Path
    name: str
    source: str
    python: str
    platforms: tuple[str, ...]
    files: tuple[str, ...]
    notes: tuple[str, ...]
    written: bool


def init(folder: Path, *, template: str | None = None, dry_run: bool = False) -> Result:
    """Make `folder` a project. Raises UsageError when it is one, LockError when its source cannot be used."""
    if (folder / load.FILE).exists():
        raise UsageError(f"{folder / load.FILE} exists already", hint="edit it, or run `dsenv lock`")
    files = _template_files(template, folder) if template else {}
    if load.FILE in files:
        files[load.FILE] = _named(files[load.FILE], _name(folder, None))
        return _finish(folder, files, (), dry_run=dry_run)
    source, notes = _source(folder, files)
    if source is None:
        files["requirements.txt"] = b"# One package a line, as for pip. Then: dsenv lock\n"
        source = "requirements.txt"
        notes = (*notes, "found no dependency file, so requirements.txt is a new, empty one")
    file = folder / source
    found = spec.read(file) if file.is_file() else spec.Spec(file, "requirements")
    platforms = tuple(dict.fromkeys(filter(None, ("linux-64", targets.this_machine()))))
    text = _config_text(_name(folder, file), source, _python(folder, found.requires_python), platforms)
    return _finish(folder, files | {load.FILE: text.encode()}, notes, dry_run=dry_run)


def _source(folder: Path, files: dict[str, bytes]) -> tuple[str | None, tuple[str, ...]]:
    """The file to lock from. A conda file is passed over when there is a PyPI one beside it."""
    if "requirements.txt" in files:
        return "requirements.txt", ()
    found = spec.detect(folder)
    if found is None:
        return None, ()
    if found.name not in _CONDA:
        return found.name, ()
    others = [name for name in ("uv.lock", "pyproject.toml", "requirements.txt") if (folder / name).is_file()]
    if not others:
        return found.name, ()
    return others[0], (f"{found.name} is left aside: conda comes in a later version",)


def _name(folder: Path, source: Path | None) -> str:
    """The project's own name for itself, else its folder's, made fit for host and file names."""
    name = ""
    file = folder / "pyproject.toml"
    if source and file.is_file():
        try:
            name = str(tomllib.loads(file.read_text(encoding="utf-8")).get("project", {}).get("name", ""))
        except (OSError, ValueError):
            name = ""
    cleaned = re.sub(r"[^A-Za-z0-9_.-]+", "-", name or folder.resolve().name).strip("-._")[:63]
    return cleaned or "project"


def _python(folder: Path, requires: str) -> str:
    """`.python-version`, else the active interpreter if the project allows it, else the lowest that it allows."""
    pinned = folder / ".python-version"
    if pinned.is_file():
        match = re.search(r"\b3\.\d+(\.\d+)?\b", pinned.read_text(encoding="utf-8", errors="replace"))
        if match:
            return match.group(0)
    try:
        allowed = SpecifierSet(requires)
    except InvalidSpecifier as error:
        raise LockError(f"requires-python {requires!r} cannot be read: {error}", hint="fix it, then repeat") from error
    active = _active_minor()
    if allowed.contains(f"{active}.99") or allowed.contains(f"{active}.0"):
        return active
    lowest = next((f"3.{n}" for n in _MINORS if allowed.contains(f"3.{n}.99") or allowed.contains(f"3.{n}.0")), None)
    if lowest is None:
        raise LockError(f"no Python satisfies requires-python {requires!r}", hint="fix it, then repeat")
    return lowest


def _active_minor() -> str:
    try:
        answer = interpreters.ask(fingerprint.active_python(None))
    except EnvError:
        answer = None
    version = answer["version"] if answer else sys.version.split(maxsplit=1)[0]
    return ".".join(version.split(".")[:2])


def _config_text(name: str, source: str, python: str, platforms: tuple[str, ...]) -> str:
    return f"""[project]
name = {toml.value(name)}

[environment]
source = {toml.value(source)}
python = {toml.value(python)}
platforms = {toml.value(list(platforms))}

[workstations.default]
provider = "local"
"""


def _named(data: bytes, name: str) -> bytes:
    """A template's dsenv.toml with the project's name in it."""
    return re.sub(rb'(?m)^name = ".*"$', f"name = {toml.value(name)}".encode(), data, count=1)


def _template_files(template: str, folder: Path) -> dict[str, bytes]:
    files = dict(_walk(resources.template(template), ""))
    taken = sorted(name for name in files if os.path.lexists(folder / name))
    if taken:
        raise UsageError(
            f"{folder} already has {', '.join(taken[:5])}, which the template {template} would replace",
            hint="use an empty folder",
        )
    return files


def _walk(folder: Traversable, prefix: str) -> list[tuple[str, bytes]]:
    found = []
    for item in folder.iterdir():
        if item.is_dir():
            found += [] if item.name == "__pycache__" else _walk(item, f"{prefix}{item.name}/")
        else:
            found.append((prefix + item.name, item.read_bytes()))
    return found


def _finish(folder: Path, files: dict[str, bytes], notes: tuple[str, ...], *, dry_run: bool) -> Result:
    if not dry_run:
        # dsenv.toml last: what was interrupted can be repeated.
        for name in sorted(files, key=lambda name: name == load.FILE):
            target = folder / name
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StateError(f"cannot make {target.parent}: {error.strerror}") from error
            store.write_bytes(target, files[name], mode=0o644)
    settings = tomllib.loads(files[load.FILE].decode("utf-8"))
    environment = settings.get("environment", {})
    return Result(
        folder=folder,
        name=str(settings["project"]["name"]),
        source=str(environment.get("source", "requirements.txt")),
        python=str(environment.get("python", "3.11")),
        platforms=tuple(environment.get("platforms", ["linux-64"])),
        files=tuple(sorted(files)),
        notes=notes,
        written=not dry_run,
    )
