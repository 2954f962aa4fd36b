"""The files in which projects say what they need, read as one value."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dsenv.envs import requirements_txt
from dsenv.envs.requirements_txt import Source
from dsenv.errors import LockError

# In the order in which `dsenv init` prefers them.
KNOWN = ("uv.lock", "pixi.lock", "pyproject.toml", "environment.yml", "environment.yaml", "requirements.txt")
_CONDA = frozenset({"pixi.lock", "environment.yml", "environment.yaml", "conda-lock.yml"})


@dataclasses.dataclass(frozen=True)
class Spec:
    """What a project needs, before resolution."""

    file: Path
    kind: str  # requirements | pyproject | uv.lock
    requirements: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()
    indexes: tuple[str, ...] = ()  # may hold credentials: never written to a lock as they are
    find_links: tuple[str, ...] = ()
    hashes: Mapping[str, frozenset[str]] = dataclasses.field(default_factory=dict)
    requires_python: str = ""
    digest_of: bytes = b""  # for kinds whose bytes are the specification

    def digest(self) -> str:
        """SHA-256 over what is asked for: a comment or another order of lines changes nothing."""
        content = {
            "kind": self.kind,
            "requirements": sorted(self.requirements),
            "constraints": sorted(self.constraints),
            "sources": sorted([source.name, source.kind, source_digest(source)] for source in self.sources),
            "hashes": {name: sorted(digests) for name, digests in sorted(self.hashes.items())},
            "requires-python": self.requires_python,
            "bytes": hashlib.sha256(self.digest_of).hexdigest(),
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def detect(folder: Path) -> Path | None:
    """The file in `folder` that says what the project needs; None when there is none.

    A pyproject.toml that only configures tools is passed over.
    """
    for name in KNOWN:
        file = folder / name
        if file.is_file() and (name != "pyproject.toml" or _is_project(file)):
            return file
    return None


def _is_project(file: Path) -> bool:
    try:
        return "project" in tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return True  # reading it properly says what is wrong


def read(file: Path) -> Spec:
    """Read a specification. Raises LockError for what cannot be read or is not supported yet."""
    if file.name in _CONDA or file.suffix in {".yml", ".yaml"}:
        raise LockError(
            f"{file.name} is a conda specification, which this version of dsenv cannot lock yet",
            hint='list the PyPI packages in requirements.txt and set source = "requirements.txt" in dsenv.toml',
        )
    if file.name == "uv.lock":
        return _uv_lock(file)
    if file.suffix == ".toml":
        return _pyproject(file)
    found = requirements_txt.read(file)
    return Spec(
        file,
        "requirements",
        requirements=tuple(found.requirements),
        constraints=tuple(found.constraints),
        sources=tuple(found.sources),
        indexes=tuple(found.indexes),
        find_links=tuple(found.find_links),
        hashes={name: frozenset(digests) for name, digests in found.hashes.items()},
    )


def _load_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_bytes().decode("utf-8"))
    except FileNotFoundError as error:
        raise LockError(f"there is no {file}", hint="create it, or change `source` in dsenv.toml") from error
    except OSError as error:
        raise LockError(f"cannot read {file}: {error.strerror}") from error
    except ValueError as error:
        raise LockError(f"{file} is not valid TOML: {error}", hint="fix it, then repeat") from error


def _uv_lock(file: Path) -> Spec:
    document = _load_toml(file)
    if not (file.parent / "pyproject.toml").is_file():
        raise LockError(f"{file} has no pyproject.toml beside it", hint="put both into the project's folder")
    return Spec(file, "uv.lock", requires_python=str(document.get("requires-python", "")), digest_of=file.read_bytes())


def _pyproject(file: Path) -> Spec:
    document = _load_toml(file)
    project = document.get("project")
    if not isinstance(project, dict):
        raise LockError(
            f"{file} has no [project] table, so it lists no dependencies",
            hint="add one (poetry: `poetry export` to requirements.txt), or change `source` in dsenv.toml",
        )
    if "dependencies" in project.get("dynamic", []):
        raise LockError(
            f"{file}: the dependencies are dynamic: they are only known by building the project",
            hint="list them under [project] dependencies, or change `source` in dsenv.toml",
        )
    settings = document.get("tool", {}).get("uv", {})
    overridden = {_canonical(name): value for name, value in settings.get("sources", {}).items()}
    requirements: list[str] = []
    sources: list[Source] = []
    for text in project.get("dependencies", []):
        source = _source_of(text, overridden, file)
        if source is None:
            requirements.append(text)
        else:
            sources.append(source)
    return Spec(
        file,
        "pyproject",
        requirements=tuple(requirements),
        constraints=tuple(settings.get("constraint-dependencies", ())),
        sources=tuple(sources),
        indexes=_indexes(settings),
        find_links=tuple(settings.get("find-links", ())),
        requires_python=str(project.get("requires-python", "")),
    )


def _indexes(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """The index that replaces the default first, then the additional ones; as `index_arguments` expects them."""
    tables = [table for table in settings.get("index", []) if not table.get("explicit")]
    default = [table["url"] for table in tables if table.get("default")]
    others = [table["url"] for table in tables if not table.get("default")]
    return (*(default or [requirements_txt.DEFAULT_INDEX]), *others) if tables else ()


def _source_of(text: str, overridden: Mapping[str, Any], file: Path) -> Source | None:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        raise LockError(f"{file}: {text!r} is not a requirement: {error}", hint="fix that line") from error
    if requirement.url:
        return requirements_txt.as_source(text, file.parent)
    table = overridden.get(_canonical(requirement.name))
    if not isinstance(table, dict) or not table.keys() & {"path", "git", "url"}:
        return None
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    if "git" in table:
        revision = table.get("rev") or table.get("tag") or table.get("branch")
        target = f"git+{table['git']}" + (f"@{revision}" if revision else "")
    else:
        target = str(table.get("path") or table["url"])
    if table.get("subdirectory"):
        target += f"#subdirectory={table['subdirectory']}"
    marker = f" ; {requirement.marker}" if requirement.marker else ""
    return requirements_txt.as_source(f"{requirement.name}{extras} @ {target}{marker}", file.parent)


def _canonical(name: str) -> str:
    from packaging.utils import canonicalize_name

    return canonicalize_name(name)


_NOT_SOURCE = frozenset({"__pycache__", "build", "dist", "node_modules", "venv"})


def source_digest(source: Source) -> str:
    """What a source is now: the digest of a folder's or file's content, the address of a remote one."""
    path = Path(source.location)
    if source.kind == "git" or "://" in source.location:
        from dsenv.agent.distributions import without_credentials

        return f"{without_credentials(source.location)}@{source.revision}#{source.subdirectory}"
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*")):
        parts = file.relative_to(path).parts
        hidden = any(part in _NOT_SOURCE or part.startswith(".") or part.endswith(".egg-info") for part in parts)
        if not hidden and file.is_file() and file.suffix != ".pyc":
            digest.update(
                f"{'/'.join(parts)}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode(
                    "utf-8", "surrogateescape"
                )
            )
    return digest.hexdigest()
