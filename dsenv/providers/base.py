"""What a maker of workstations must do, and what it may do on top.

Implementations are entry points of the group `dsenv.providers`, ours included. `dsenv.testing.providers` holds the
conformance suite that each of them passes.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import ClassVar

from dsenv.config.schema import Workstation
from dsenv.errors import ProviderError
from dsenv.events import Emit
from dsenv.models.machine import Advice, Identity, Machine, Needs, Price, Problem, Resource
from dsenv.transports.base import Transport

_NOTHING_SPECIAL = Needs()
# What is said of a workstation that ran, and is off because its resize was killed.
BROKEN_RESIZE = "off since a resize that was broken off: `dsenv up` or the same `dsenv resize` ends that"


def made_elsewhere(identity: Identity, host: str) -> ProviderError:
    """That a workstation runs whose keys another installation of dsenv has: it is not switched off behind its back."""
    name = identity.name
    return ProviderError(
        f"the workstation {name} was made by dsenv on {host or 'another machine'}, not by this one: its key is there",
        hint=f"give yours another name; or take this one over, which ends what runs on it: dsenv stop {name}, then "
        f"dsenv up {name}",
    )


@dataclasses.dataclass(frozen=True)
class Spec:
    """A workstation that is wanted."""

    identity: Identity
    settings: Workstation
    needs: Needs = _NOTHING_SPECIAL


class Provider(ABC):
    """Makes, finds and destroys workstations of one kind.

    All methods may take seconds and are called from one thread at a time for one workstation; the caller holds
    the workstation's lock around those that change something. Errors are ProviderError, StateError or, from
    `transport`, TransportError.
    """

    name: ClassVar[str]
    owns_machines: ClassVar[bool] = False  # whether its machines are made by us, and ours to install packages on

    @abstractmethod
    def check(self) -> list[Problem]:
        """What keeps this provider from working here; empty when it can. Changes nothing."""

    @abstractmethod
    def find(self, identity: Identity) -> Machine | None:
        """The workstation as it is now, or None. Half-made ones are found too, so that they can be destroyed."""

    @abstractmethod
    def machines(self) -> list[Machine]:
        """All workstations of this user, of all projects."""

    @abstractmethod
    def create(self, spec: Spec, emit: Emit) -> Machine:
        """Make the workstation and return it running. For one that exists: repair what is missing, keep its files.

        It works too for one whose local state was lost, as after the laptop was replaced.
        """

    @abstractmethod
    def refresh(self, machine: Machine) -> Machine:
        """The same workstation as it is now. Raises WorkstationNotReadyError when it is gone."""

    @abstractmethod
    def destroy(self, machine: Machine, emit: Emit) -> None:
        """Remove the workstation and its files for good. Absent is success."""

    def forget(self, identity: Identity) -> None:  # noqa: B027 - most keep nothing of what is not there
        """Remove what is kept here of a workstation that `find` does not find, as after a `destroy` that was killed."""

    @abstractmethod
    def transport(self, machine: Machine) -> Transport:
        """A new connection. Raises WorkstationNotReadyError when the machine is not running."""

    def reconnect(self, machine: Machine) -> Transport:
        """The same to a machine as it was some time ago: nobody is asked about it, and another one is refused.

        What does not answer is given up early. Raises TransportError, WorkstationNotReadyError.
        """
        return self.transport(machine)


class CanStop(ABC):
    """Workstations that can be switched off and keep their files."""

    @abstractmethod
    def stop(self, machine: Machine, emit: Emit) -> Machine:
        """End all that runs on it and switch it off. Stopped already is success."""

    @abstractmethod
    def start(self, machine: Machine, emit: Emit) -> Machine:
        """Switch it on again. Running already is success."""


class CanResize(ABC):
    """Workstations whose processors and memory can be changed while their files stay."""

    @abstractmethod
    def resize(self, machine: Machine, spec: Spec, emit: Emit) -> Machine:
        """Make it what `spec` says; it is stopped for that where it must be. As wanted already is success.

        It ends in the state in which it was; in that before the first of them when those before were broken off.
        Raises ProviderError, with the old size kept, when that cannot be had.
        """


class HasPrice(ABC):
    """Workstations that cost money."""

    @abstractmethod
    def price(self, machine: Machine) -> Price | None:
        """What it costs; None where the provider cannot say."""


class CanAdvise(ABC):
    """Providers whose account has quotas and permissions."""

    @abstractmethod
    def advice(self) -> list[Advice]:
        """What `check` does not ask because it is not needed each time. Changes nothing, may take some seconds.

        Called where `check` found no problem. Raises ProviderError when the account cannot be asked.
        """

    @abstractmethod
    def policy(self) -> str:
        """The permissions that dsenv needs, as a document in the words of the account."""


class CanAudit(ABC):
    """Providers whose account can be asked what it holds."""

    @abstractmethod
    def audit(self, regions: Collection[str] = ()) -> list[Resource]:
        """Everything of dsenv's in the account, as the account says, whatever is remembered here.

        `regions` are looked at besides those that are in use. A thing is an orphan only when it cannot be part of
        a workstation any more, never because this machine does not know it.
        """

    @abstractmethod
    def remove(self, resource: Resource, emit: Emit) -> None:
        """Delete one thing that `audit` found. Absent is success."""
