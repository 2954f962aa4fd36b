"""List workstations."""

from __future__ import annotations

import dataclasses
import shlex

from dsenv.config import load
from dsenv.errors import ConfigError, DsenvError, ProviderError
from dsenv.models.machine import Identity, Machine, Price, State
from dsenv.providers import registry
from dsenv.providers.base import HasPrice, Provider
from dsenv.workflows import sshconfig
from dsenv.workflows.target import in_use


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
    price_per_hour: float | None  # in US dollars, as it is now; None where the provider does not say
    cost_so_far: float | None  # in US dollars, since it was made
    region: str
    started: int | None  # when it was last switched on, in microseconds since the epoch
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
    unasked: dict[str, str] = dataclasses.field(default_factory=dict)  # providers that did not answer, and why


def ls() -> Listing:
    """Of all projects and of all providers that are in use. A provider that cannot be asked is told in `unasked`."""
    found: list[Listed] = []
    unasked: dict[str, str] = {}
    for name in in_use(load.load_if_any()):
        try:
            provider = registry.load(name)
            found += [describe(machine, provider) for machine in provider.machines()]
        except ProviderError as error:
            unasked[name] = error.message
    return Listing(found, unasked)


def left_behind(project: str) -> list[Listed]:
    """Workstations of a project of this name that was moved or removed, as far as they can be listed."""
    try:
        found = ls().workstations
    except DsenvError:
        return []  # it is only advice
    return [item for item in found if item.gone and item.project == project]


def describe(machine: Machine, provider: Provider) -> Listed:
    """A workstation as `ls` and `status` show it."""
    price = price_of(machine, provider)
    running = machine.state in {State.RUNNING, State.STARTING}
    return Listed(
        name=machine.identity.name,
        project=machine.identity.project,
        root=str(machine.identity.root),
        provider=machine.provider,
        state=machine.state.value,
        alias=sshconfig.alias_of(machine),
        created=machine.created,
        price_per_hour=None if price is None else price.per_hour if running else price.stopped_per_hour,
        cost_so_far=None if price is None else price.so_far,
        region=machine.region,
        started=machine.started,
        note=machine.note,
        gone=_is_gone(machine.identity),
    )


def price_of(machine: Machine, provider: Provider) -> Price | None:
    """What it costs; a price that cannot be asked for now is none."""
    if machine.shares_files:
        return Price(0.0, 0.0, 0.0)
    try:
        return provider.price(machine) if isinstance(provider, HasPrice) else None
    except ProviderError:
        return None


def _is_gone(identity: Identity) -> bool:
    try:
        return load.load(identity.root).config.project.name != identity.project
    except ConfigError:
        return not (identity.root / load.FILE).is_file()  # a mistake in a file that is there is none of ours
