"""What a workstation must be and have: from the project's lock, and from a run that it is to be like."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dsenv.envs import install, lockfile
from dsenv.envs.executable import uv_executable
from dsenv.envs.lockfile import Lock
from dsenv.errors import LockError, RecordError, UsageError
from dsenv.models.machine import Installable, Needs
from dsenv.runs import index
from dsenv.runs.record import Record
from dsenv.runs.store import open_store
from dsenv.workflows.runs import store_url
from dsenv.workflows.target import Target

# The distributions whose own Python is of that version: nothing needs to be fetched for it.
_OS_OF_PYTHON = {"3.10": "ubuntu-22.04", "3.11": "debian-12", "3.12": "ubuntu-24.04", "3.13": "debian-13"}
_GB = 1 << 30  # as clouds and engines count


def gathered(target: Target, like: str | Needs | None = None) -> Needs:
    """What the workstation of `target` needs.

    `like` is `run:ID`, or what `of_record` says. Raises UsageError, UnknownRunError, RecordError, LockError.
    """
    file = target.project.lock_file
    lock = lockfile.read(file) if file.is_file() else None
    environment = target.project.config.environment
    facts: Mapping[str, Any] = lock.facts if lock else {}
    python = str(facts.get("python") or environment.python)
    recorded = like if isinstance(like, Needs) else _recorded(like) if like else Needs()
    return Needs(
        os=recorded.os or str(facts.get("os") or environment.os or _OS_OF_PYTHON.get(_minor(python), "")),
        architecture=recorded.architecture,
        cpus=recorded.cpus,
        memory_gb=recorded.memory_gb,
        gpus=recorded.gpus,
        cpu_features=recorded.cpu_features,
        packages=tuple(dict.fromkeys([*environment.apt, *recorded.packages])),
        environment=_installable(lock) if lock else None,
    )


def _minor(python: str) -> str:
    return ".".join(python.split(".")[:2])


def _installable(lock: Lock) -> Installable | None:
    if sys.platform != "linux":
        return None  # our uv does not run in what is made; one that does is found when the machine is there
    files = {"uv": Path(uv_executable())}
    for wheel in lock.local_wheels:
        files[f"wheels/{wheel.filename}"] = lock.wheel_file(wheel)
    wheels = "wheels" if lock.local_wheels else ""
    return Installable(lock.id, install.request(lock, uv="uv", wheels=wheels), files)


def _recorded(like: str) -> Needs:
    """The machine of a recorded run: the same system and architecture, at least its processors and memory."""
    kind, colon, word = like.partition(":")
    if kind != "run" or not colon or not word:
        raise UsageError(f"{like} is nothing that a workstation can be like", hint="for example: --like run:last")
    store = open_store(store_url(None))
    return of_record(Record(store, index.find(store, word)))


def of_record(record: Record) -> Needs:
    """A machine like the one of a recorded run. Raises UsageError for one that was no Linux."""
    facts = record.data.get("fingerprint", {})
    system, cpu, limits = (dict(facts.get(name) or {}) for name in ("os", "cpu", "limits"))
    if system.get("system") not in {None, "Linux"}:
        raise UsageError(
            f"{record.id} ran on {system['system']}, and workstations are Linux", hint="name what you want with --size"
        )
    # What a control group allowed is what the run had, whatever the machine around it was.
    quota = limits.get("cpu_limit")
    memory = min(value for value in (limits.get("memory"), limits.get("memory_limit"), 1 << 62) if value)
    return Needs(
        os=str(system.get("distribution", "")).replace(" ", "-"),
        architecture={"arm64": "aarch64", "amd64": "x86_64"}.get(str(system.get("machine")), str(system["machine"]))
        if system.get("machine")
        else "",
        cpus=max(1, round(float(quota))) if quota else int(cpu.get("usable") or cpu.get("count") or 0),
        memory_gb=0.0 if memory == 1 << 62 else memory / _GB,
        cpu_features=frozenset(str(flag) for flag in cpu.get("flags") or ()),
        packages=_packages(record),
    )


def _packages(record: Record) -> tuple[str, ...]:
    """The system packages that the recorded lock names."""
    digest = record.data.get("environment", {}).get("lock")
    try:
        return tuple(lockfile.parse(record.blob(digest), "the recorded lock").facts.get("apt", [])) if digest else ()
    except (LockError, RecordError):
        return ()  # it is the reproduction's to say that the record is damaged
