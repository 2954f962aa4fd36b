"""The folder of one embedded workstation, and the state file in it."""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path
from typing import Any, Literal

from dsenv.agent.process import Process
from dsenv.config import paths
from dsenv.errors import StateError
from dsenv.models.machine import Identity
from dsenv.state import store

VERSION = 1
Kind = Literal["sshd", "builtin"]

# What a session sees of our own environment; the rest would make it depend on who typed `dsenv up`.
_PASSED = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "USER", "LOGNAME", "SHELL")


def current_user() -> str:
    """The user's login name, from the user database and not from the environment."""
    import pwd

    return pwd.getpwuid(os.getuid()).pw_name


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where the parts of a workstation are."""

    folder: Path

    @classmethod
    def of(cls, identity: Identity) -> Layout:
        return cls(paths.workstations_dir() / identity.id)

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def state_file(self) -> Path:
        return self.folder / "local.json"

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    @property
    def host_key(self) -> Path:
        return self.folder / "host_key"

    @property
    def client_key(self) -> Path:
        return self.folder / "id_ed25519"

    def environ(self) -> dict[str, str]:
        """The environment that the server, and so every session, starts with."""
        values = {name: os.environ[name] for name in _PASSED if name in os.environ}
        # A virtual environment that is active where `dsenv up` is typed must not lend its packages to the runs.
        active = str(Path(os.environ.get("VIRTUAL_ENV", "/nonexistent")) / "bin")
        path = [entry for entry in os.environ.get("PATH", os.defpath).split(os.pathsep) if entry != active]
        return values | {"PATH": os.pathsep.join(path), "HOME": str(self.home)}


@dataclasses.dataclass(frozen=True)
class Saved:
    """What is remembered of a workstation between commands."""

    root: str
    project: str
    name: str
    created: int
    port: int
    kind: Kind
    wanted: Literal["running", "stopped"]
    host_key: str
    process: Process | None

    @property
    def identity(self) -> Identity:
        return Identity(Path(self.root), self.project, self.name)

    def write(self, layout: Layout) -> None:
        """Raises StateError."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        fields["process"] = self.process.to_json() if self.process else None
        store.write(layout.state_file, fields, version=VERSION)

    @classmethod
    def read(cls, layout: Layout) -> Saved | None:
        """None when there is no workstation. Raises StateError for a damaged file."""
        value = store.read(layout.state_file, version=VERSION)
        if value is None:
            return None
        try:
            return cls._parse(value)
        except (KeyError, TypeError, ValueError) as error:
            raise StateError(
                f"{layout.state_file} is damaged: {error}", hint=f"move it away: mv {layout.folder} {layout.folder}.bad"
            ) from error

    @classmethod
    def _parse(cls, value: dict[str, Any]) -> Saved:
        process = value["process"]
        return cls(
            root=str(value["root"]),
            project=str(value["project"]),
            name=str(value["name"]),
            created=int(value["created"]),
            port=int(value["port"]),
            kind="builtin" if value["kind"] == "builtin" else "sshd",
            wanted="stopped" if value["wanted"] == "stopped" else "running",
            host_key=str(value["host_key"]),
            process=Process.from_json(process) if process else None,
        )


def agent_python() -> str:
    """The interpreter that runs the agent on this machine: ours, without the virtual environment around it."""
    return str(Path(getattr(sys, "_base_executable", None) or sys.executable).resolve())
