"""Which workstation a command is about: the project, its settings, the provider, and the locks around them."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dsenv.config import load, paths
from dsenv.config.schema import Config, Project, Workstation
from dsenv.errors import ProviderError, TransportError, UsageError, WorkstationNotReadyError
from dsenv.events import Cancel
from dsenv.models.machine import Identity, Machine, Needs, State
from dsenv.providers import registry
from dsenv.providers.base import Provider, Spec
from dsenv.state.lock import exclusive
from dsenv.sync.client import AgentClient
from dsenv.transports.base import Transport
from dsenv.workflows import chosen, lastseen
from dsenv.workflows.chosen import Chosen

LOCK = "lock"  # of a workstation's folder


@dataclasses.dataclass(frozen=True)
class Target:
    """A workstation of a project; it need not exist."""

    project: load.Loaded
    settings: Workstation
    provider: Provider
    identity: Identity
    chosen: Chosen = dataclasses.field(default_factory=Chosen)

    @property
    def folder(self) -> Path:
        """What the client remembers of the workstation, whatever its provider."""
        return _folder(self.identity)

    @property
    def sync_file(self) -> Path:
        return self.folder / "sync.json"

    def spec(self, needs: Needs | None = None) -> Spec:
        """What the provider is asked to make."""
        return Spec(self.identity, self.settings, needs or Needs())

    def find(self) -> Machine | None:
        """The workstation as it is now."""
        return self.provider.find(self.identity)

    def existing(self) -> Machine:
        """The workstation as it is now. Raises WorkstationNotReadyError when there is none."""
        machine = self.find()
        if machine is None:
            raise self._not_ready(f"there is no workstation {self.identity.name} for {self.project.root}")
        return machine

    def machine(self) -> Machine:
        """The workstation, running. Raises WorkstationNotReadyError with the command that makes it so."""
        machine = self.existing()
        if machine.state is not State.RUNNING:
            raise self._not_ready(f"the workstation {self.identity.name} is {machine.state.value}")
        return machine

    def cannot_be(self, done: str, instead: str) -> ProviderError:
        """That its provider has not the means for it: "stopped", "resized"."""
        return ProviderError(f"workstations of {self.provider.name} cannot be {done}", hint=instead)

    def _not_ready(self, message: str) -> WorkstationNotReadyError:
        name = self.identity.name
        return WorkstationNotReadyError(message, hint="dsenv up" if name == "default" else f"dsenv up {name}")

    @contextmanager
    def locked(self, cancel: Cancel | None = None) -> Iterator[None]:
        """One writer at a time: for what changes the workstation or what is remembered of it."""
        with exclusive(self.folder / LOCK, what=f"the workstation {self.identity.name}", cancel=cancel):
            yield


def _folder(identity: Identity) -> Path:
    return paths.state_dir() / "workstations" / identity.id


def open_target(name: str, start: Path | None = None, wanted: Chosen | None = None) -> Target:
    """The workstation `name` of the project at or above `start`, as it was made.

    With `wanted`, which goes before its settings, as it is to be made. Raises ConfigError, ProviderError.
    """
    project = load.load(start)
    identity = Identity(project.root, project.config.project.name, name)
    folder = _folder(identity)
    before, made_by = chosen.read(folder), chosen.made_by(folder)
    now = wanted.or_else(before) if wanted else before
    known = name in project.config.workstations or not now.provider
    settings = now.over(project.workstation(name) if known else Workstation())
    if wanted is None and made_by not in {None, settings.provider}:
        # dsenv.toml names another provider by now; the workstation that is there is still the old one's.
        settings = Workstation.model_construct(provider=made_by)
    return Target(project, settings, registry.load(settings.provider), identity, now)


def in_use(project: load.Loaded | None = None) -> list[str]:
    """The providers that may have workstations of this user: the others need not be asked, or even be set up."""
    named = {item.provider for item in project.config.workstations.values()} if project else set()
    return sorted({"local"} | named | (chosen.providers_in_use() & set(registry.names())))


def open_of(name: str, root: Path) -> Target:
    """The workstation `name` of the project that is, or was, in `root`: its dsenv.toml is not read.

    Of several, which a renamed project leaves behind, the oldest. Raises UsageError, ProviderError.
    """
    try:
        root = Path(os.path.abspath(root))  # noqa: PTH100 - links of a folder that is gone cannot be followed
    except FileNotFoundError as error:
        raise UsageError("the working folder was deleted", hint="write the whole path that `dsenv ls` shows") from error
    machines = [machine for name in in_use() for machine in registry.load(name).machines()]
    found = [item for item in machines if item.identity.name == name and item.identity.root == root]
    if not found:
        raise UsageError(f"there is no workstation {name} of a project in {root}", hint="dsenv ls")
    machine = min(found, key=lambda item: item.created)
    project = load.Loaded(root, Config(project=Project(name=machine.identity.project)))
    settings = Workstation(provider=machine.provider)
    return Target(project, settings, registry.load(machine.provider), machine.identity)


class _OwnedClient(AgentClient):
    """A conversation that takes its connection with it when it ends."""

    def close(self) -> None:
        super().close()
        self._transport.close()


def agent_client(target: Target, machine: Machine | None = None) -> AgentClient:
    """A new connection to the workstation, with a conversation on it. Closing the conversation closes both.

    `machine` is the workstation as it was found just now. Where it is not given, it is looked for where it answered
    last, and its provider is asked only when it does not answer there. Raises WorkstationNotReadyError, TransportError.
    """
    if machine is not None:
        return _conversation(target.provider.transport(machine), machine)
    before = lastseen.read(target.folder)
    if before and (before.identity, before.provider) == (target.identity, target.provider.name):
        with suppress(TransportError, WorkstationNotReadyError):
            return _conversation(target.provider.reconnect(before), before)
    try:
        machine = target.machine()
    except WorkstationNotReadyError:
        lastseen.forget(target.folder)
        raise
    client = _conversation(target.provider.transport(machine), machine)
    lastseen.write(target.folder, machine)
    return client


def _conversation(transport: Transport, machine: Machine) -> AgentClient:
    try:
        return _OwnedClient(transport, machine)
    except BaseException:
        transport.close()
        raise
