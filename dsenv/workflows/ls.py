"""List workstations."""

from __future__ import annotations

import dataclasses

from dsenv.models.machine import Machine
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


@dataclasses.dataclass(frozen=True)
class Listing:
    """All workstations of this user."""

    workstations: list[Listed]


def ls() -> Listing:
    """Of all projects and all providers. Raises ProviderError."""
    found = [machine for name in registry.names() for machine in registry.load(name).machines()]
    return Listing([describe(machine) for machine in found])


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
    )
