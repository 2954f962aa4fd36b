"""A lock: `pylock.toml` (PEP 751) with dsenv's facts in `[tool.dsenv]`, as a frozen value.

The environment id is the SHA-256 over what decides the installed bytes: Python, declared system packages, and
each package's version, marker and artifact digests. Times, paths, addresses and tool versions are not in it, so
that a mirror, another folder or a newer dsenv leaves environments valid.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import tomllib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

from dsenv.config import paths
from dsenv.errors import InstallError, LockError

if TYPE_CHECKING:
    from packaging.pylock import Package, Pylock

_MAX_BYTES = 64 << 20
_REMAKE = "run `dsenv lock`"
_PYTHON = re.compile(r"3\.\d{1,3}(\.\d{1,3})?")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclasses.dataclass(frozen=True)
class LocalWheel:
    """A package that comes from no index: built when the lock was made, kept beside it by its digest."""

    filename: str
    sha256: str
    path: str  # relative to the lock, with /


@dataclasses.dataclass(frozen=True)
class Lock:
    """A lock that was read. `data` are its bytes, `folder` is where it lay (None for one from a record)."""

    id: str
    python: str
    platforms: tuple[str, ...]
    data: bytes
    name: str = "pylock.toml"
    folder: Path | None = None

    @cached_property
    def document(self) -> dict[str, Any]:
        """The whole TOML document."""
        return tomllib.loads(self.data.decode("utf-8"))

    @cached_property
    def facts(self) -> dict[str, Any]:
        """The `[tool.dsenv]` table; empty for a lock of another tool."""
        facts: dict[str, Any] = self.document.get("tool", {}).get("dsenv", {})
        return facts

    @cached_property
    def packages(self) -> dict[str, str]:
        """Name to version, for all platforms."""
        return {package["name"]: str(package.get("version", "")) for package in self.document.get("packages", [])}

    @cached_property
    def pylock(self) -> Pylock:
        """The document as the standard's object."""
        return _validated(self.document, self.name)

    @cached_property
    def local_wheels(self) -> tuple[LocalWheel, ...]:
        """The packages that come from no index."""
        return tuple(
            LocalWheel(artifact["name"], artifact["sha256"], artifact["path"])
            for package in self.document.get("packages", [])
            for artifact in _artifacts(package)
            if artifact["path"]
        )

    def requirements(self) -> str:
        """The lock in the form that installers check: one pinned line a package with every digest.

        Local wheels are addressed below `${DSENV_WHEELS}`, which whoever installs sets.
        """
        return "".join(f"{line}\n" for line in _requirement_lines(self.pylock))

    def wheel_file(self, wheel: LocalWheel) -> Path:
        """Where a local wheel is, its digest checked. Raises InstallError when it is nowhere or was changed."""
        places = [paths.data_dir() / "wheels" / wheel.sha256 / wheel.filename]
        if self.folder is not None:
            places.insert(0, self.folder / wheel.path)
        for place in places:
            if place.is_file():
                if hashlib.sha256(place.read_bytes()).hexdigest() != wheel.sha256:
                    raise InstallError(
                        f"{place} is not the wheel that {self.name} locks: its digest differs",
                        hint="run `dsenv lock` to build it again",
                    )
                return place
        raise InstallError(
            f"the wheel {wheel.filename} of {self.name} is not on this machine",
            hint=f"copy it to {places[-1]} from where the lock was made, or run `dsenv lock`",
        )


def read(path: Path) -> Lock:
    """Read a lock file. Raises LockError."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise LockError(f"{path} is too large to be a lock", hint=_REMAKE)
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise LockError(f"there is no {path.name} in {path.parent}", hint=_REMAKE) from error
    except OSError as error:
        raise LockError(f"cannot read {path}: {error.strerror}", hint="fix its permissions, then repeat") from error
    return dataclasses.replace(parse(data, str(path)), folder=path.parent.resolve())


def parse(data: bytes, name: str) -> Lock:
    """Understand a lock; `name` is for messages. Raises LockError for what is damaged, foreign or hand-edited."""
    try:
        document = tomllib.loads(data.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise LockError(f"{name} is damaged: {error}", hint=_REMAKE) from error
    _validated(document, name)
    for package in document.get("packages", []):
        _check_package(package, name)
    facts = _checked_facts(document, name)
    python = facts.get("python") or _minor_of(document.get("requires-python"))
    if not _PYTHON.fullmatch(python):
        raise LockError(f"{name} does not say which Python it is for", hint=_REMAKE)
    identity = environment_id(document, python, facts.get("apt", []))
    if facts and facts.get("id") != identity:
        raise LockError(f"{name} was changed after it was made: its content is not what its id says", hint=_REMAKE)
    return Lock(identity, python, tuple(facts.get("platforms", ())), data, name)


def environment_id(document: dict[str, Any], python: str, apt: list[str]) -> str:
    """The id of the environment that a pylock document describes."""
    content = {
        "format": 1,
        "python": python,
        "apt": sorted(apt),
        "packages": sorted(
            [
                package["name"],
                str(package.get("version", "")),
                package.get("marker", ""),
                sorted([artifact["name"], artifact["sha256"]] for artifact in _artifacts(package)),
            ]
            for package in document.get("packages", [])
        ),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _checked_facts(document: dict[str, Any], name: str) -> dict[str, Any]:
    """The `[tool.dsenv]` table, its values of the right types: locks come from records too, and so from others."""
    facts: dict[str, Any] = document.get("tool", {}).get("dsenv", {})
    lists = [facts.get(key, []) for key in ("platforms", "apt", "indexes", "roots")]
    texts = [facts.get(key, "") for key in ("python", "libc", "os", "id", "source-digest")]
    texts += [item for values in lists if isinstance(values, list) for item in values]
    if not all(isinstance(values, list) for values in lists) or not all(isinstance(item, str) for item in texts):
        raise LockError(f"{name}: the table [tool.dsenv] is damaged", hint=_REMAKE)
    return facts


def _validated(document: dict[str, Any], name: str) -> Pylock:
    from packaging.pylock import Pylock, PylockUnsupportedVersionError, PylockValidationError

    try:
        return Pylock.from_dict(document)
    except PylockUnsupportedVersionError as error:
        raise LockError(f"{name} has a newer format than this dsenv knows: {error}", hint="upgrade dsenv") from error
    except PylockValidationError as error:
        raise LockError(f"{name} is not a valid lock: {error}", hint=_REMAKE) from error


def _check_package(package: dict[str, Any], name: str) -> None:
    """What installing needs beyond the standard: wheels with SHA-256, and paths that stay below the lock."""
    artifacts = list(_artifacts(package))
    if not artifacts or not package.get("version"):
        raise LockError(f"{name}: {package['name']} has no wheel that can be checked", hint=_REMAKE)
    for artifact in artifacts:
        if not _SHA256.fullmatch(artifact["sha256"]):
            raise LockError(f"{name}: {artifact['name']} has no SHA-256", hint=_REMAKE)
        parts = artifact["path"].split("/")
        if artifact["path"].startswith("/") or ".." in parts or "\\" in artifact["path"] or "/" in artifact["name"]:
            raise LockError(f"{name}: {artifact['path']} leads out of the lock's folder", hint=_REMAKE)


def _artifacts(package: dict[str, Any]) -> Iterator[dict[str, str]]:
    """The wheels of a package: file name, digest, and the path for one that comes from no index."""
    for wheel in package.get("wheels", []):
        path = wheel.get("path", "")
        file = wheel.get("name") or unquote((path or urlsplit(wheel.get("url", "")).path).rsplit("/", 1)[-1])
        yield {"name": file, "sha256": wheel.get("hashes", {}).get("sha256", ""), "path": path}


def _requirement_lines(pylock: Pylock) -> Iterator[str]:
    for package in pylock.packages:
        for source, digests in _sources(package):
            marker = f" ; {package.marker}" if package.marker else ""
            hashes = "".join(f" --hash=sha256:{digest}" for digest in sorted(digests))
            yield f"{source}{marker}{hashes}"


def _sources(package: Package) -> Iterator[tuple[str, list[str]]]:
    wheels = package.wheels or []
    local = [wheel for wheel in wheels if wheel.path]
    if not local:
        yield f"{package.name}=={package.version}", [wheel.hashes["sha256"] for wheel in wheels]
    for wheel in local:
        yield f"{package.name} @ file://${{DSENV_WHEELS}}/{quote(wheel.filename)}", [wheel.hashes["sha256"]]


def _minor_of(requires: object) -> str:
    """The lowest minor version that a `requires-python` names, for locks of other tools."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        allowed = SpecifierSet(str(requires or ">=3.11"))
    except InvalidSpecifier:
        return ""
    return next((f"3.{minor}" for minor in range(8, 40) if allowed.contains(f"3.{minor}.99")), "")
