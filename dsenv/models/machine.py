"""Workstations as values."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal


@dataclasses.dataclass(frozen=True)
class Identity:
    """Which workstation is meant: a project's folder and a name in it."""

    root: Path
    project: str
    name: str

    @property
    def id(self) -> str:
        """A word for folders, tags and host-key names: readable, and unique by path."""
        digest = hashlib.sha256(f"{self.root}\0{self.name}".encode("utf-8", "surrogateescape")).hexdigest()[:8]
        return f"{self.project}-{self.name}-{digest}"

    @property
    def alias(self) -> str:
        """The name for `ssh`, before clashes with another project of the same name are resolved."""
        return f"dsenv-{self.project}-{self.name}"


class State(StrEnum):
    """What a workstation is doing."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    CRASHED = "crashed"  # half made, or it should be running; `dsenv up` repairs it


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """Where and how a workstation is reached over SSH, and the key that it must show.

    With `proxy`, a command whose standard input and output are the connection, `host` and `port` are what that
    command leads to.
    """

    host: str
    port: int
    user: str
    key_file: Path
    host_key: str  # "ssh-ed25519 AAAA..."
    host_key_alias: str
    proxy: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Limits:
    """When a workstation stops by itself; 0 is never."""

    idle_seconds: int
    max_seconds: int


@dataclasses.dataclass(frozen=True)
class Price:
    """What a workstation costs, in US dollars."""

    per_hour: float  # while it runs, its disk included
    stopped_per_hour: float  # its disk alone
    so_far: float  # since it was made, as far as that is known


@dataclasses.dataclass(frozen=True)
class Needs:
    """What a workstation must be and have, beyond its settings: from the lock, `--size` and `--like`.

    Empty and zero mean that anything will do.
    """

    os: str = ""  # as /etc/os-release says it: "debian-12", "ubuntu-24.04"
    architecture: str = ""  # "x86_64" or "aarch64"
    cpus: int = 0
    memory_gb: float = 0.0
    gpus: int = 0
    cpu_features: frozenset[str] = frozenset()
    packages: tuple[str, ...] = ()  # of the system, by the names that apt knows
    environment: Installable | None = None


@dataclasses.dataclass(frozen=True)
class Installable:
    """A locked environment that a provider may put into what it makes, before anybody connects.

    `request` is what `dsenv.agent.install` is asked, with `uv` and `wheels` as paths below the folder that holds
    `files`, by their names there.
    """

    id: str
    request: Mapping[str, Any]
    files: Mapping[str, Path]


@dataclasses.dataclass(frozen=True)
class Resource:
    """A thing that a provider's account holds in dsenv's name, as the account itself says."""

    provider: str
    region: str
    kind: str  # instance, disk, address, security-group, key-pair, snapshot, container, volume, image
    id: str
    state: str
    workstation: str  # `Identity.id` of the workstation that it was made for
    project: str
    name: str
    created: int | None  # microseconds since the epoch
    per_hour: float | None  # in US dollars, as it is now; None where the provider has no price
    orphan: str = ""  # why nothing needs it, for people; empty: it belongs to a workstation
    note: str = ""  # what else there is to say of it, for people


@dataclasses.dataclass(frozen=True)
class Machine:
    """A workstation as its provider sees it now."""

    identity: Identity
    provider: str
    state: State
    alias: str
    created: int  # microseconds since the epoch
    home: str  # absolute, on the workstation
    python: str  # the interpreter for the agent, on the workstation
    shares_files: bool  # whether paths of this machine mean the same files there
    endpoint: Endpoint | None  # None while it is not running
    note: str = ""  # which server, which size: for people
    region: str = ""
    started: int | None = None  # when it was last switched on, in microseconds since the epoch
    limits: Limits | None = None  # None where it is not for us to switch it off

    @property
    def tree(self) -> str:
        """Where the project's files are on the workstation."""
        return f"{self.home}/{self.identity.project}"


@dataclasses.dataclass(frozen=True)
class Problem:
    """Why a provider cannot work here, and what to do about it."""

    message: str
    hint: str


@dataclasses.dataclass(frozen=True)
class Advice:
    """What a provider has found out about its account. `hint` is the next command or edit.

    `fix`: something that was asked for will not work; `note`: good to know; `ok`: it was looked at and is well.
    """

    status: Literal["ok", "note", "fix"]
    message: str
    hint: str = ""
