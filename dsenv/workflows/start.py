"""Switch a stopped workstation on again."""

from __future__ import annotations

from dsenv.events import Cancel, Emit, step
from dsenv.providers.base import CanStop
from dsenv.workflows import lastseen, sshconfig
from dsenv.workflows.ls import Listed, describe
from dsenv.workflows.target import Target


def start(target: Target, *, emit: Emit, cancel: Cancel) -> Listed:
    """Running already is fine. Nothing is made: that is `up`. Raises WorkstationNotReadyError, ProviderError."""
    machine = target.existing()
    if not isinstance(target.provider, CanStop):
        raise target.cannot_be("started", "dsenv up")
    with target.locked(cancel), step(emit, "start", f"start {target.identity.name}"):
        machine = target.provider.start(machine, emit)
        sshconfig.register(machine)
        lastseen.write(target.folder, machine)
    return describe(machine, target.provider)
