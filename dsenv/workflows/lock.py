"""Lock the project's environment, or check that its lock is fresh."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from dsenv.config.load import Loaded
from dsenv.envs import lockfile, spec
from dsenv.envs.lock import make
from dsenv.errors import LockError
from dsenv.events import Cancel, Emit, step
from dsenv.state import store


@dataclasses.dataclass(frozen=True)
class Change:
    """A package whose locked version is another than before; None is absent."""

    name: str
    before: str | None
    after: str | None


@dataclasses.dataclass(frozen=True)
class Result:
    """What was locked. `written` is false for a dry run and when the lock stayed as it was."""

    lock: Path
    id: str
    python: str
    platforms: tuple[str, ...]
    packages: int
    changes: tuple[Change, ...]
    written: bool
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Check:
    """Whether the lock is what the project asks for."""

    lock: Path
    fresh: bool
    reasons: tuple[str, ...]


def check(project: Loaded) -> Check:
    """Compare the lock with its source and settings; nothing is solved. Raises LockError for an unreadable one."""
    if not project.lock_file.is_file():
        return Check(project.lock_file, False, (f"there is no {project.lock_file.name}",))
    reasons = make.stale(lockfile.read(project.lock_file), read_spec(project), settings_of(project))
    return Check(project.lock_file, not reasons, tuple(reasons))


def lock(
    project: Loaded,
    *,
    upgrade: tuple[str, ...] = (),
    dry_run: bool = False,
    emit: Emit,
    cancel: Cancel,
) -> Result:
    """Resolve the project's source for all its platforms and write its lock. Raises LockError."""
    before = _present(project)
    data = make.make(read_spec(project), settings_of(project), before=before, upgrade=upgrade, emit=emit, cancel=cancel)
    return write(project, before, data, dry_run=dry_run)


def lock_active(project: Loaded, *, dry_run: bool = False, emit: Emit, cancel: Cancel) -> Result:
    """Lock what the active environment has, version for version. Raises LockError for what no lock can hold."""
    from dsenv.envs import fingerprint
    from dsenv.envs.lock import live

    asked, settings = read_spec(project), settings_of(project)
    with step(emit, "capture", "read the active environment") as note:
        captured = live.capture(asked, fingerprint.active_python(project.root), settings.python)
        note.note = f"Python {captured.python}, {len(captured.spec.constraints)} pins"
    before = _present(project)
    data = make.make(captured.spec, settings, before=None, asked=asked, emit=emit, cancel=cancel)
    return write(project, before, data, dry_run=dry_run, notes=captured.notes)


def write(
    project: Loaded, before: lockfile.Lock | None, data: bytes, *, dry_run: bool, notes: tuple[str, ...] = ()
) -> Result:
    """Put a new lock in place and say what changed."""
    after = lockfile.parse(data, str(project.lock_file))
    differs = before is None or before.data != data
    if differs and not dry_run:
        store.write_bytes(project.lock_file, data, mode=0o644)
    return Result(
        lock=project.lock_file,
        id=after.id,
        python=after.python,
        platforms=after.platforms,
        packages=len(after.packages),
        changes=_changes(before, after),
        written=differs and not dry_run,
        notes=notes,
    )


def read_spec(project: Loaded) -> spec.Spec:
    """The project's source, read. Raises LockError."""
    return spec.read(project.root / project.config.environment.source)


def settings_of(project: Loaded) -> make.Settings:
    """The environment settings of dsenv.toml."""
    environment = project.config.environment
    return make.Settings(
        project.root, environment.python, tuple(environment.platforms), tuple(environment.apt), environment.os or ""
    )


def _present(project: Loaded) -> lockfile.Lock | None:
    """The lock of before, if it can be understood: a damaged one is replaced, which is what the user asked for."""
    try:
        return lockfile.read(project.lock_file)
    except LockError:
        return None


def _changes(before: lockfile.Lock | None, after: lockfile.Lock) -> tuple[Change, ...]:
    old = before.packages if before else {}
    names = sorted({*old, *after.packages})
    return tuple(
        Change(name, old.get(name), after.packages.get(name))
        for name in names
        if old.get(name) != after.packages.get(name)
    )
