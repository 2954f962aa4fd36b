"""What a maker of workstations must do, and what it may do on top.

Implementations are entry points of the group `dsenv.providers`, ours included. `dsenv.testing.providers` holds the
conformance suite that each of them passes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from dsenv.config.schema import Workstation
from dsenv.events import Emit
from dsenv.models.machine import Identity, Machine, Problem
from dsenv.transports.base import Transport


class Provider(ABC):
    """Makes, finds and destroys workstations of one kind.

    All methods may take seconds and are called from one thread at a time for one workstation; the caller holds
    the workstation's lock around those that change something. Errors are ProviderError, StateError or, from
    `transport`, TransportError.
    """

    name: ClassVar[str]

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
    def create(self, identity: Identity, settings: Workstation, emit: Emit) -> Machine:
        """Make the workstation and return it running. For one that exists: repair what is missing, keep its files."""

    @abstractmethod
    def refresh(self, machine: Machine) -> Machine:
        """The same workstation as it is now. Raises WorkstationNotReadyError when it is gone."""

    @abstractmethod
    def destroy(self, machine: Machine, emit: Emit) -> None:
        """Remove the workstation and its files for good. Absent is success."""

    @abstractmethod
    def transport(self, machine: Machine) -> Transport:
        """A new connection. Raises WorkstationNotReadyError when the machine is not running."""


class CanStop(ABC):
    """Workstations that can be switched off and keep their files."""

    @abstractmethod
    def stop(self, machine: Machine, emit: Emit) -> Machine:
        """End all that runs on it and switch it off. Stopped already is success."""

    @abstractmethod
    def start(self, machine: Machine, emit: Emit) -> Machine:
        """Switch it on again. Running already is success."""
