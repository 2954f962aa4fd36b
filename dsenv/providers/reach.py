"""The way to a workstation that has an SSH server of its own, with a host key that is pinned."""

from __future__ import annotations

from dsenv.errors import WorkstationNotReadyError
from dsenv.models.machine import Machine
from dsenv.transports.base import Transport

# For an address that may be another machine's or nobody's by now: then nothing answers at all.
_SOON_SECONDS = 3.0


def over_ssh(machine: Machine, *, soon: bool = False) -> Transport:
    """A new connection. `soon`: it is given up early where nothing is between here and there.

    Raises WorkstationNotReadyError when the machine is not running, TransportError, HostKeyError.
    """
    from dsenv.transports.ssh import SshTransport

    name = machine.identity.name
    if machine.endpoint is None:
        again = "dsenv up" if name == "default" else f"dsenv up {name}"
        raise WorkstationNotReadyError(f"the workstation {name} is {machine.state.value}", hint=again)
    if soon and not machine.endpoint.proxy:
        return SshTransport(machine.endpoint, timeout=_SOON_SECONDS)
    return SshTransport(machine.endpoint)
