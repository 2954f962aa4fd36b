"""Which host has which workstation, as far as it is remembered here. The hosts themselves know the rest."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from dsenv.config import load, paths
from dsenv.errors import DsenvError, StateError
from dsenv.models.machine import Identity
from dsenv.state import store

_VERSION = 1


@dataclasses.dataclass(frozen=True)
class Memory:
    """One workstation."""

    identity: Identity
    host: str
    created: int
    home: str
    python: str

    def write(self) -> None:
        """Raises StateError."""
        file = _file(self.identity)
        try:
            paths.private(file.parent)
        except OSError as error:
            raise StateError(f"cannot make {file.parent}: {error.strerror}") from error
        fields = dataclasses.asdict(self) | {
            "identity": {**dataclasses.asdict(self.identity), "root": str(self.identity.root)}
        }
        store.write(file, fields, version=_VERSION)


def read(identity: Identity) -> Memory | None:
    """None when nothing is remembered. Raises StateError for a damaged file."""
    return _read(_file(identity))


def everything() -> list[Memory]:
    """All workstations that are remembered. Raises StateError."""
    return [found for file in sorted(_folder().glob("*.json")) if (found := _read(file))]


def forget(identity: Identity) -> None:
    _file(identity).unlink(missing_ok=True)


def host_of(identity: Identity) -> str | None:
    """The host that the project's dsenv.toml names for this workstation, as far as it can be read."""
    try:
        settings = load.load(identity.root).workstation(identity.name)
    except DsenvError:
        return None
    return settings.host if settings.provider == "ssh" else None


def _folder() -> Path:
    return paths.state_dir() / "ssh"


def _file(identity: Identity) -> Path:
    return _folder() / f"{identity.id}.json"


def _read(file: Path) -> Memory | None:
    value = store.read(file, version=_VERSION)
    if value is None:
        return None
    try:
        who = value["identity"]
        identity = Identity(Path(who["root"]), str(who["project"]), str(who["name"]))
        return Memory(identity, str(value["host"]), int(value["created"]), str(value["home"]), str(value["python"]))
    except (KeyError, TypeError, ValueError) as error:
        raise StateError(f"{file} is damaged: {error}", hint=f"remove it: rm {file}") from error
