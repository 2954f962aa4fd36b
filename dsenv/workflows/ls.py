"""List workstations."""

from __future__ import annotations

import dataclasses
import shlex

from dsenv.config import load
from dsenv.errors import ConfigError, DsenvError
from dsenv.models.machine import Identity, Machine
from dsenv.providers import registry
from dsenv.workflows import sshconfig


@dataclasses.dataclass(frozen=True)
class Listed:
    """One workstation in a list."""

    name: str
    project: str
    root: str
    provider: str
    state: str
    alias: str
    created: int  # microseconds since the epoch
    price_per_hour: float | None  # in US dollars; None where the provider does not say
    note: str
    gone: bool  # whether its project is no longer where it was: moved, removed or renamed

    @property
    def advice(self) -> str:
        """What to type to end it, when its project has gone."""
        name = "" if self.name == "default" else f" {self.name}"
        return (
            f"the project {self.project} is no longer in {self.root}, its workstation {self.name} is still there\n"
            f"  next: dsenv down{name} --project {shlex.quote(self.root)}"
        )


@dataclasses.dataclass(frozen=True)
class Listing:
    """All workstations of this user."""

    workstations: list[Listed]


def ls() -> Listing:
    """Of all projects and all providers. Raises ProviderError."""
    found = [machine for name in registry.names() for machine in registry.load(name).machines()]
    return Listing([describe(machine) for machine in found])


def left_behind(project: str) -> list[Listed]:
    """Workstations of a project of this name that was moved or removed, as far as they can be listed."""
    try:
        found = ls().workstations
    except DsenvError:
        return []  # it is only advice
    return [item for item in found if item.gone and item.project == project]


def describe(machine: Machine) -> Listed:
    """A workstation as `ls` and `status` show it."""
    return Listed(
        name=machine.identity.name,
        project=machine.identity.project,
        root=str(machine.identity.root),
        provider=machine.provider,
        state=machine.state.value,
        alias=sshconfig.alias_of(machine),
        created=machine.created,
        price_per_hour=0.0 if machine.shares_files else None,
        note=machine.note,
        gone=_is_gone(machine.identity),
    )


def _is_gone(identity: Identity) -> bool:
    try:
        return load.load(identity.root).config.project.name != identity.project
    except ConfigError:
        return not (identity.root / load.FILE).is_file()  # a mistake in a file that is there is none of ours
