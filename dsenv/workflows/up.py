"""Make or wake a workstation, with the project's environment on it."""

from __future__ import annotations

import dataclasses

from dsenv.errors import ProviderError
from dsenv.events import Cancel, Emit, step
from dsenv.models.machine import Machine, State
from dsenv.workflows import environment, sshconfig
from dsenv.workflows.target import Target


@dataclasses.dataclass(frozen=True)
class Up:
    """A workstation that is ready."""

    name: str
    provider: str
    state: str
    alias: str
    home: str
    tree: str
    environment: str | None
    was: str  # missing, stopped, crashed or running

    @property
    def created(self) -> bool:
        return self.was == "missing"


def up(target: Target, *, emit: Emit, cancel: Cancel) -> Up:
    """Safe to repeat: what is there and works is left as it is. Raises ProviderError, EnvError, TransportError."""
    problems = target.provider.check()
    if problems:
        raise ProviderError(problems[0].message, hint=problems[0].hint)
    with target.locked(cancel):
        before = target.find()
        with step(emit, "workstation", f"workstation {target.identity.name}") as note:
            machine = target.provider.create(target.spec(), emit)
            note.note = _said(before, machine)
        cancel.check()
        alias = sshconfig.register(machine)
        ready = environment.known(target, machine) if before and before.state is State.RUNNING else None
        if ready is None:
            with target.provider.transport(machine) as transport:
                ready = environment.ensure(target, machine, transport, emit, cancel)
    return Up(
        name=target.identity.name,
        provider=machine.provider,
        state=machine.state.value,
        alias=alias,
        home=machine.home,
        tree=machine.tree,
        environment=ready.prefix if ready else None,
        was=before.state.value if before else "missing",
    )


def plan(target: Target) -> Up:
    """What `up` would find and do; changes nothing."""
    machine = target.find()
    return Up(
        name=target.identity.name,
        provider=target.settings.provider,
        state="running",
        alias=machine.alias if machine else target.identity.alias,
        home=machine.home if machine else "",
        tree=machine.tree if machine else "",
        environment=None,
        was=machine.state.value if machine else "missing",
    )


def _said(before: Machine | None, now: Machine) -> str:
    word = {None: "created", State.STOPPED: "woken", State.CRASHED: "repaired", State.RUNNING: "running"}
    return f"{word[before.state if before else None]}, {now.note}"
