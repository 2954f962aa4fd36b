"""What this machine remembers of a workstation, written before each call that makes something, and its keys."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from pathlib import Path
from typing import Any, Self

from dsenv.config import paths
from dsenv.config.schema import Workstation
from dsenv.errors import StateError
from dsenv.models.machine import Identity, Limits
from dsenv.providers import keys
from dsenv.providers.aws.tags import Tags
from dsenv.state import store

_VERSION = 1


@dataclasses.dataclass(frozen=True)
class Layout:
    """The folder of one workstation on this machine."""

    folder: Path

    @classmethod
    def of(cls, identity: Identity) -> Layout:
        return cls(paths.data_dir() / "aws" / identity.id)

    @property
    def state_file(self) -> Path:
        return self.folder / "aws.json"

    @property
    def client_key(self) -> Path:
        return self.folder / "id_ed25519"

    @property
    def first_host_key(self) -> Path:
        """The host key that travels in user data; it is replaced at first contact and then deleted."""
        return self.folder / "first_host_key"

    def remove(self) -> None:
        """Forget the workstation. Raises StateError."""
        try:
            shutil.rmtree(self.folder)
        except FileNotFoundError:
            return
        except OSError as error:
            raise StateError(f"cannot remove {error.filename or self.folder}: {error.strerror}") from error


@dataclasses.dataclass(frozen=True)
class Saved:
    """The intent, and what has come of it."""

    root: str
    project: str
    name: str
    region: str
    profile: str
    owner: str
    created: int  # microseconds since the epoch
    user: str
    access: str
    jump_host: str
    ingress: tuple[str, ...]
    idle_seconds: int
    max_seconds: int
    attempt: int = 0  # one more after each instance that was lost: part of the client token
    asked: int = 0  # when RunInstances was called last without its answer being known, microseconds; 0: it is known
    instance: str = ""
    launched: int = 0  # when that one was made, in microseconds since the epoch
    group: str = ""  # our own security group
    host_keys: tuple[str, ...] = ()  # pinned, the one that is expected first
    rotated: bool = False

    @classmethod
    def new(cls, tags: Tags, settings: Workstation, region: str, **known: Any) -> Saved:
        """For a workstation that is not remembered, because it is new or because this machine is."""
        identity = tags.identity
        return cls(
            root=str(identity.root),
            project=identity.project,
            name=identity.name,
            region=region,
            profile=settings.profile or "",
            owner=tags.owner,
            created=tags.created,
            user=tags.user,
            access=tags.access,
            jump_host=tags.jump_host,
            ingress=tuple(settings.ingress),
            idle_seconds=tags.limits.idle_seconds,
            max_seconds=tags.limits.max_seconds,
            **known,
        )

    @property
    def identity(self) -> Identity:
        return Identity(Path(self.root), self.project, self.name)

    @property
    def limits(self) -> Limits:
        return Limits(self.idle_seconds, self.max_seconds)

    @property
    def tags(self) -> Tags:
        """What belongs on everything that is made for it."""
        return Tags(
            self.identity,
            self.owner,
            self.created,
            user=self.user,
            keys=fingerprint(Layout.of(self.identity)),
            access=self.access,
            jump_host=self.jump_host,
            limits=self.limits,
        )

    def write(self) -> Self:
        """Raises StateError."""
        layout = Layout.of(self.identity)
        try:
            paths.private(layout.folder)
        except OSError as error:
            raise StateError(f"cannot make {layout.folder}: {error.strerror}") from error
        store.write(layout.state_file, dataclasses.asdict(self), version=_VERSION)
        return self

    def but(self, **changes: Any) -> Saved:
        """The same with other values, written."""
        return dataclasses.replace(self, **changes).write()

    def again(self) -> Saved:
        """What is remembered by now."""
        return Saved.read(Layout.of(self.identity)) or self

    @classmethod
    def read(cls, layout: Layout) -> Saved | None:
        """None when nothing is remembered. Raises StateError for a damaged file."""
        value = store.read(layout.state_file, version=_VERSION)
        if value is None:
            return None
        known = {field.name: field for field in dataclasses.fields(cls)}
        try:
            values: dict[str, Any] = {
                key: tuple(item) if isinstance(item, list) else item for key, item in value.items()
            }
            saved = cls(**{name: item for name, item in values.items() if name in known})
            int(saved.created), int(saved.asked), int(saved.attempt)
        except (TypeError, ValueError) as error:
            raise StateError(
                f"{layout.state_file} is damaged: {error}", hint=f"move it away: mv {layout.folder} {layout.folder}.bad"
            ) from error
        return saved

    @classmethod
    def all(cls) -> list[Saved]:
        """Everything that is remembered. Raises StateError."""
        folders = sorted(file.parent for file in (paths.data_dir() / "aws").glob("*/aws.json"))
        found = (cls.read(Layout(folder)) for folder in folders)
        return [saved for saved in found if saved]


def fingerprint(layout: Layout) -> str:
    """Which client key is here: a digest of it, or nothing when there is none."""
    if not layout.client_key.is_file():
        return ""
    return hashlib.sha256(keys.ensure(layout.client_key).encode()).hexdigest()[:16]


def access(settings: Workstation) -> str:
    """How it is reached; behind a jump host nothing needs a public address."""
    return "private" if settings.jump_host and settings.access == "public" else settings.access


def limits(settings: Workstation) -> Limits:
    """When the settings want it to stop by itself."""
    return Limits(settings.idle_stop_minutes * 60, round(settings.max_hours * 3600))
