"""What was asked of `dsenv up` on the command line for a workstation: it holds until the workstation is destroyed."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from dsenv.config import paths
from dsenv.config.schema import Workstation, check
from dsenv.errors import StateError
from dsenv.state import store

_VERSION = 1
FILE = "chosen.json"
_SETTINGS = ("provider", "size", "instance_type")


@dataclasses.dataclass(frozen=True)
class Chosen:
    """Settings that go before those of dsenv.toml; None leaves them as they are. `like` is `run:ID`."""

    provider: str | None = None
    size: str | None = None
    instance_type: str | None = None
    like: str | None = None

    def over(self, settings: Workstation) -> Workstation:
        """The settings with the choice. Raises ConfigError for what the chosen provider does not know."""
        values = {name: value for name in _SETTINGS if (value := getattr(self, name)) is not None}
        if not values:
            return settings
        kept = {name: getattr(settings, name) for name in settings.model_fields_set}
        if self.provider not in {None, settings.provider}:
            kept = {}  # those of another provider mean nothing here
        if self.size:
            kept.pop("instance_type", None)
        return check(kept | values)

    def or_else(self, before: Chosen) -> Chosen:
        """This choice, and where it says nothing the one of before, unless that was for another provider."""
        if self.provider not in {None, before.provider}:
            return self
        size, kind = self.size, self.instance_type
        if not size and not kind:  # one of them says how large; the other one is then of no meaning any more
            size, kind = before.size, before.instance_type
        return Chosen(self.provider or before.provider, size, kind, self.like or before.like)


def read(folder: Path) -> Chosen:
    """What was chosen for the workstation that is remembered in `folder`."""
    value = store.read(folder / FILE, version=_VERSION) or {}
    return Chosen(**{name: value.get(name) for name in (*_SETTINGS, "like")})


def write(folder: Path, chosen: Chosen, provider: str) -> None:
    """Remember the choice, and who makes the workstation: before it is made, so that it is never out of sight."""
    try:
        paths.private(folder)
    except OSError as error:
        raise StateError(f"cannot make {folder}: {error.strerror}") from error
    store.write(folder / FILE, dataclasses.asdict(chosen) | {"made_by": provider}, version=_VERSION)


def made_by(folder: Path) -> str | None:
    """The provider that has made, or was asked to make, the workstation that is remembered in `folder`."""
    value = store.read(folder / FILE, version=_VERSION) or {}
    return str(value["made_by"]) if value.get("made_by") else None


def forget(folder: Path) -> None:
    """Nothing is chosen any more."""
    (folder / FILE).unlink(missing_ok=True)


def providers_in_use() -> set[str]:
    """Who has made, or was asked to make, workstations that are remembered here."""
    found: set[str | None] = set()
    for file in (paths.state_dir() / "workstations").glob(f"*/{FILE}"):
        found.add(made_by(file.parent))
    return {name for name in found if name}
