"""From the solver's answer to our `pylock.toml`: only what the target platforms need, checked for each of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from packaging.markers import Marker
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from dsenv.agent.distributions import without_credentials
from dsenv.envs import toml
from dsenv.envs.lock import targets
from dsenv.envs.lockfile import environment_id
from dsenv.errors import LockError


@dataclasses.dataclass(frozen=True)
class Facts:
    """What packages alone do not say; becomes `[tool.dsenv]`."""

    python: str
    platforms: tuple[str, ...]
    apt: tuple[str, ...]
    roots: tuple[str, ...]
    source: str
    source_digest: str
    indexes: tuple[str, ...]
    built: tuple[dict[str, str], ...]
    dsenv: str
    os: str = ""


@dataclasses.dataclass(frozen=True)
class Missing:
    """A package without a build for a platform."""

    package: str
    version: str
    platform: str
    available: tuple[str, ...]

    def __str__(self) -> str:
        has = f"it has builds for: {', '.join(self.available)}" if self.available else "it has no wheels at all"
        return f"{self.package} {self.version} has no build for {self.platform}; {has}"


def assemble(
    answer: Mapping[str, Any], facts: Facts, *, local: Mapping[str, str], hashes: Mapping[str, frozenset[str]]
) -> dict[str, Any]:
    """The document to write. `local` maps file names of local wheels to their paths beside the lock; `hashes`
    are digests that the source insists on. Raises LockError naming each package that has no build for a target.
    """
    packages, missing, glibc = [], [], (0, 0)
    for package in answer.get("packages", []):
        kept, needed, lacking = _restrict(package, facts, hashes.get(package["name"]))
        missing += lacking
        if needed:
            packages.append(_package(package, kept, local, everywhere=needed == "everywhere"))
            glibc = max(glibc, _glibc_floor(kept))
    if missing:
        raise no_build(missing)
    packages.sort(key=lambda package: (package["name"], package["version"], package.get("marker", "")))
    document: dict[str, Any] = {
        "lock-version": "1.0",
        "environments": [targets.marker(platform) for platform in facts.platforms],
        "requires-python": f"=={facts.python}" + ("" if facts.python.count(".") == 2 else ".*"),
        "created-by": "dsenv",
        "packages": packages,
    }
    document["tool"] = {"dsenv": _facts_table(document, facts, glibc)}
    return document


def _facts_table(document: dict[str, Any], facts: Facts, glibc: tuple[int, int]) -> dict[str, Any]:
    return {
        "id": environment_id(document, facts.python, list(facts.apt)),
        "format": 1,
        "dsenv": facts.dsenv,
        "python": facts.python,
        "platforms": list(facts.platforms),
        "apt": sorted(facts.apt),
        **({"os": facts.os} if facts.os else {}),
        "libc": f"glibc {glibc[0]}.{glibc[1]}" if glibc > (0, 0) else "",
        "source": facts.source,
        "source-digest": facts.source_digest,
        "roots": sorted(facts.roots),
        "indexes": [without_credentials(url) for url in facts.indexes],
        "built": [dict(item) for item in facts.built],
    }


def _restrict(
    package: Mapping[str, Any], facts: Facts, wanted: frozenset[str] | None
) -> tuple[list[dict[str, Any]], str, list[Missing]]:
    """The artifacts that some target can install, where the package is needed, and the targets it fails on."""
    artifacts = [item for item in _wheels(package) if wanted is None or item["hashes"].get("sha256") in wanted]
    condition = Marker(package["marker"]) if package.get("marker") else None
    kept: list[dict[str, Any]] = []
    missing: list[Missing] = []
    answers = []
    for platform in facts.platforms:
        applies = [
            condition.evaluate(env) if condition else True for env in targets.environments(platform, facts.python)
        ]
        answers += applies
        if not any(applies):
            continue
        usable = [item for item in artifacts if item["tags"] & targets.tags(platform, facts.python)]
        if not usable:
            available = sorted({tag.platform for item in artifacts for tag in item["tags"]})
            missing.append(Missing(package["name"], str(package.get("version", "")), platform, tuple(available[:8])))
        kept += [item for item in usable if item not in kept]
    return kept, "everywhere" if all(answers) else "somewhere" if any(answers) else "", missing


def _wheels(package: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    archive = [package["archive"]] if "archive" in package else []
    for item in [*package.get("wheels", []), *archive]:
        address = item.get("path") or urlsplit(item.get("url", "")).path
        filename = item.get("name") or unquote(address.rsplit("/", 1)[-1])
        try:
            tags = parse_wheel_filename(filename)[3]
        except InvalidWheelFilename:
            continue
        yield {**item, "filename": filename, "tags": tags}


def _glibc_floor(wheels: Iterable[Mapping[str, Any]]) -> tuple[int, int]:
    """The oldest glibc on which at least one of the Linux wheels can be installed."""
    needs = [targets.glibc_of(wheel["tags"]) for wheel in wheels if _is_for_linux(wheel)]
    return (0, 0) if not needs or None in needs else min(need for need in needs if need)


def _is_for_linux(wheel: Mapping[str, Any]) -> bool:
    return any(tag.platform == "any" or "linux" in tag.platform for tag in wheel["tags"])


def _package(
    package: Mapping[str, Any], wheels: list[dict[str, Any]], local: Mapping[str, str], *, everywhere: bool
) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": package["name"], "version": str(package["version"])}
    if package.get("marker") and not everywhere:
        entry["marker"] = package["marker"]
    entry["wheels"] = []
    for wheel in sorted(wheels, key=lambda wheel: str(wheel["filename"])):
        path = local.get(wheel["filename"])
        item: dict[str, Any] = {"name": wheel["filename"]}
        item |= {"path": path} if path else {"url": without_credentials(wheel["url"])}
        if "size" in wheel:
            item["size"] = wheel["size"]
        entry["wheels"].append(item | {"hashes": {"sha256": wheel["hashes"]["sha256"]}})
    return entry


def no_build(missing: list[Missing]) -> LockError:
    """The error for packages that a target platform cannot have: all of them, the first as the message."""
    platforms = ", ".join(sorted({item.platform for item in missing}))
    detail = "\n".join(str(item) for item in missing) if len(missing) > 1 else None
    return LockError(str(missing[0]), hint=_choices(missing[0].package, platforms), detail=detail)


def no_build_for(package: str, version: str, platforms: str, detail: str) -> LockError:
    """The same error, when the solver found it first."""
    message = f"{package} {version.removeprefix('==')}".rstrip() + f" has no build for {platforms}"
    return LockError(message, hint=_choices(package, platforms), detail=detail)


def _choices(package: str, platforms: str) -> str:
    return (
        f"choose: take {platforms} out of `platforms` in dsenv.toml; pin another version of {package}; "
        "or give it a marker such as `; sys_platform == 'linux'`"
    )


def dump(document: Mapping[str, Any]) -> bytes:
    """The document as TOML, one wheel a line: the same bytes for the same content."""
    lines = ["# Made by `dsenv lock`. Do not edit: `dsenv lock` makes it again."]
    lines += [f"{key} = {toml.value(value)}" for key, value in document.items() if key not in {"packages", "tool"}]
    for package in document["packages"]:
        lines += ["", "[[packages]]"]
        lines += [f"{key} = {toml.value(value)}" for key, value in package.items()]
    if not document["packages"]:
        lines.append("packages = []")
    lines += ["", "[tool.dsenv]"]
    lines += [f"{key} = {toml.value(value)}" for key, value in document["tool"]["dsenv"].items()]
    return ("\n".join(lines) + "\n").encode()
