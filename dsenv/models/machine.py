"""Workstations as values."""

from __future__ import annotations

import dataclasses
import hashlib
from enum import StrEnum
from pathlib import Path


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

    RUNNING = "running"
    STOPPED = "stopped"
    CRASHED = "crashed"  # it should be running; `dsenv up` repairs it


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """Where and how a workstation is reached over SSH, and the key that it must show."""

    host: str
    port: int
    user: str
    key_file: Path
    host_key: str  # "ssh-ed25519 AAAA..."
    host_key_alias: str


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

    @property
    def tree(self) -> str:
        """Where the project's files are on the workstation."""
        return f"{self.home}/{self.identity.project}"


@dataclasses.dataclass(frozen=True)
class Problem:
    """Why a provider cannot work here, and what to do about it."""

    message: str
    hint: str
