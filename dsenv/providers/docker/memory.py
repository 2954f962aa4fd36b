"""What is remembered here of a container: where its engine is, and the key that opens it."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dsenv.config import load, paths
from dsenv.errors import DsenvError, ProviderError, StateError
from dsenv.models.machine import Identity, Limits
from dsenv.providers.docker import names
from dsenv.state import store

_FILE = "docker.json"
_VERSION = 1


@dataclasses.dataclass(frozen=True)
class Memory:
    """One workstation. All of it can be lost: the engine's labels say the rest."""

    identity: Identity
    address: str  # of the engine, see `dsenv.providers.docker.engine`
    created: int
    limits: Limits
    resume: str = ""  # the start (as the engine says it) of a container that is to run again after its resize

    def write(self) -> None:
        """Raises StateError."""
        folder = folder_of(self.identity)
        try:
            paths.private(folder)
        except OSError as error:
            raise StateError(f"cannot make {folder}: {error.strerror}") from error
        fields = {
            "root": str(self.identity.root),
            "project": self.identity.project,
            "name": self.identity.name,
            "address": self.address,
            "created": self.created,
            "idle_seconds": self.limits.idle_seconds,
            "max_seconds": self.limits.max_seconds,
            "resume": self.resume,
        }
        store.write(folder / _FILE, fields, version=_VERSION)


def folder_of(identity: Identity) -> Path:
    """The workstation's folder here."""
    return paths.workstations_dir() / identity.id


def key_file(identity: Identity) -> Path:
    """The private key that opens the workstation."""
    return folder_of(identity) / "id_ed25519"


def read(identity: Identity) -> Memory | None:
    """None when nothing is remembered. Raises StateError for a damaged file."""
    return _read(folder_of(identity) / _FILE)


def everything() -> list[Memory]:
    """All workstations that are remembered. Raises StateError."""
    files = sorted(paths.workstations_dir().glob(f"*/{_FILE}"))
    return [found for file in files if (found := _read(file))]


def forget(identity: Identity) -> None:
    """Remove the workstation's folder here. Raises ProviderError."""
    try:
        shutil.rmtree(folder_of(identity))
    except FileNotFoundError:
        return
    except OSError as error:
        raise ProviderError(f"cannot remove {folder_of(identity)}: {error.strerror}") from error


def to_run_again(identity: Identity, address: str, found: Mapping[str, Any]) -> None:
    """Remember of a running container, before it is stopped, that it is to run again. Raises StateError."""
    labels = found["Config"]["Labels"]
    limits = names.limits_of(labels.get(names.LIMITS, "")) or Limits(0, 0)
    saved = read(identity) or Memory(identity, address, names.created_of(labels), limits)
    dataclasses.replace(saved, resume=str(found["State"]["StartedAt"])).write()


def to_run_again_no_more(identity: Identity) -> None:
    """It runs, or is to be off from now on. Raises StateError."""
    saved = read(identity)
    if saved and saved.resume:
        dataclasses.replace(saved, resume="").write()


def context_of(identity: Identity) -> str | None:
    """The docker context that the project's dsenv.toml names for this workstation, as far as it can be read."""
    try:
        settings = load.load(identity.root).workstation(identity.name)
    except DsenvError:
        return None
    return settings.context if settings.provider == "docker" else None


def _read(file: Path) -> Memory | None:
    value = store.read(file, version=_VERSION)
    if value is None:
        return None
    try:
        return Memory(
            Identity(Path(value["root"]), str(value["project"]), str(value["name"])),
            str(value["address"]),
            int(value["created"]),
            Limits(int(value["idle_seconds"]), int(value["max_seconds"])),
            str(value.get("resume", "")),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise StateError(f"{file} is damaged: {error}", hint=f"remove it: rm {file}") from error
