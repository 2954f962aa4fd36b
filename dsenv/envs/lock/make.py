"""Make a lock for a project: read, build what is local, solve, check every platform, describe."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from dsenv import __version__
from dsenv.envs import lockfile
from dsenv.envs.lock import local, pylock, uv
from dsenv.envs.spec import Spec
from dsenv.errors import LockError
from dsenv.events import Cancel, Emit, step


@dataclasses.dataclass(frozen=True)
class Settings:
    """What dsenv.toml says about the environment."""

    root: Path
    python: str
    platforms: tuple[str, ...]
    apt: tuple[str, ...] = ()
    os: str = ""  # as /etc/os-release names it: debian-12


def make(
    spec: Spec,
    settings: Settings,
    *,
    before: lockfile.Lock | None,
    upgrade: Sequence[str] = (),
    asked: Spec | None = None,
    emit: Emit,
    cancel: Cancel,
) -> bytes:
    """The bytes of a new lock. `before` is the present one, whose versions stay where they may; `asked` is the
    project's own specification where `spec` was made from it, so that the lock is fresh for it. Raises LockError.
    """
    check_python(spec, settings)
    built = local.build_all(spec.sources, settings.root, settings.python, settings.platforms, emit, cancel)
    with step(emit, "solve", "resolve") as note:
        answer = _answer(spec, settings, built, before, tuple(upgrade), cancel)
        found = {item.filename: local.path_in_lock(item) for item in built}
        found |= _keep_local_files(answer, settings.root)
        document = pylock.assemble(
            answer, _facts(spec, asked or spec, settings, built), local=found, hashes=spec.hashes
        )
        note.note = f"{len(document['packages'])} packages for {', '.join(settings.platforms)}"
    return pylock.dump(document)


def check_python(spec: Spec, settings: Settings) -> None:
    """Raise LockError when the project does not allow the Python that dsenv.toml asks for."""
    try:
        allowed = SpecifierSet(spec.requires_python)
    except InvalidSpecifier as error:
        raise LockError(f"{spec.file}: requires-python: {error}", hint="fix it") from error
    tries = [settings.python] if settings.python.count(".") == 2 else [f"{settings.python}.{n}" for n in range(100)]
    if not any(allowed.contains(version) for version in tries):
        raise LockError(
            f"{spec.file.name} needs Python {spec.requires_python}, but dsenv.toml asks for {settings.python}",
            hint="change `python` in dsenv.toml",
        )


def _answer(
    spec: Spec,
    settings: Settings,
    built: Sequence[local.Built],
    before: lockfile.Lock | None,
    upgrade: tuple[str, ...],
    cancel: Cancel,
) -> dict[str, Any]:
    if spec.kind == "uv.lock":
        return uv.export(spec.file.parent, cancel)
    question = uv.Question(
        requirements=(*spec.requirements, *(item.requirement for item in built)),
        python=settings.python,
        platforms=settings.platforms,
        constraints=spec.constraints,
        indexes=spec.indexes,
        find_links=spec.find_links,
        preferred=before.data if before else None,
        upgrade=upgrade,
        base=spec.file.parent,
    )
    return uv.solve(question, cancel)


def _keep_local_files(answer: dict[str, Any], root: Path) -> dict[str, str]:
    """Wheels that the solver found in a folder (find-links) are kept as those that we built."""
    kept = {}
    for package in answer.get("packages", []):
        for wheel in package.get("wheels", []):
            address = wheel.get("path") or wheel.get("url", "").removeprefix("file://")
            if "://" in address or not address:
                continue
            data = Path(address).read_bytes()
            digest = wheel["hashes"]["sha256"]
            file = local.keep(data, Path(address).name, digest, root)
            kept[file.name] = file.relative_to(root).as_posix()
    return kept


def _facts(spec: Spec, asked: Spec, settings: Settings, built: Sequence[local.Built]) -> pylock.Facts:
    return pylock.Facts(
        python=settings.python,
        platforms=settings.platforms,
        apt=settings.apt,
        os=settings.os,
        roots=(*spec.requirements, *(item.name for item in built)),
        source=local.relative_to_project(asked.file, settings.root),
        source_digest=asked.digest(),
        indexes=spec.indexes,
        built=tuple(item.origin for item in built),
        dsenv=__version__,
    )


def stale(lock: lockfile.Lock, spec: Spec, settings: Settings) -> list[str]:
    """Why a lock is not what the project asks for now; empty when it is."""
    facts = lock.facts
    if not facts:
        return ["it was not made by dsenv"]
    reasons = []
    if facts.get("source-digest") != spec.digest():
        reasons.append(f"{spec.file.name} changed")
    for key, now in (
        ("python", settings.python),
        ("platforms", list(settings.platforms)),
        ("apt", sorted(settings.apt)),
        ("os", settings.os),
    ):
        if facts.get(key, "") != now:
            reasons.append(f"`{key}` in dsenv.toml changed: {facts.get(key)!r} was locked, {now!r} is asked for")
    for wheel in lock.local_wheels:
        if lock.folder and not (lock.folder / wheel.path).is_file():
            reasons.append(f"{wheel.path} is missing")
    return reasons
