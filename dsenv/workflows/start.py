"""Switch a stopped workstation on again."""

from __future__ import annotations

from dsenv.errors import ProviderError, WorkstationNotReadyError
from dsenv.events import Cancel, Emit, step
from dsenv.providers.base import CanStop
from dsenv.workflows import sshconfig
from dsenv.workflows.ls import Listed, describe
from dsenv.workflows.target import Target


def start(target: Target, *, emit: Emit, cancel: Cancel) -> Listed:
    """Running already is fine. Nothing is made: that is `up`. Raises WorkstationNotReadyError, ProviderError."""
    name = target.identity.name
    machine = target.find()
    if machine is None:
        raise WorkstationNotReadyError(f"there is no workstation {name} for {target.project.root}", hint="dsenv up")
    if not isinstance(target.provider, CanStop):
        raise ProviderError(f"workstations of {machine.provider} cannot be started", hint="dsenv up")
    with target.locked(cancel), step(emit, "start", f"start {name}"):
        machine = target.provider.start(machine, emit)
        sshconfig.register(machine)
    return describe(machine, target.provider)
