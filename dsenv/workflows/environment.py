"""The project's locked environment on a workstation: installed when it is missing, remembered when it is there."""

from __future__ import annotations

import dataclasses
import hashlib

from dsenv.events import Cancel, Emit
from dsenv.models.machine import Machine
from dsenv.state import store
from dsenv.transports.base import Transport
from dsenv.workflows.target import Target

_VERSION = 1


@dataclasses.dataclass(frozen=True)
class Ready:
    """An environment on the workstation."""

    id: str
    prefix: str


def ensure(target: Target, machine: Machine, transport: Transport, emit: Emit, cancel: Cancel) -> Ready | None:
    """Have the project's lock installed over there. None when there is no lock. Raises LockError, InstallError."""
    from dsenv.envs import install, lockfile

    file = target.project.lock_file
    if not file.is_file():
        return None
    lock = lockfile.read(file)
    if machine.shares_files:
        # It is this machine: its environments are ours, and so are the network settings to make one with.
        environment = install.here(lock, emit=emit, cancel=cancel)
    else:
        if target.provider.owns_machines:
            install.share_root(transport)
        environment = install.on(transport, lock, emit=emit, cancel=cancel, python=machine.python)
    ready = Ready(environment.id, environment.prefix)
    fields = {"lock": _digest(target), "id": ready.id, "prefix": ready.prefix, "machine": machine.created}
    target.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    store.write(target.folder / "environment.json", fields, version=_VERSION)
    return ready


def known(target: Target, machine: Machine) -> Ready | None:
    """The environment that was installed for the lock as it is now; None when `ensure` must be called."""
    value = store.read(target.folder / "environment.json", version=_VERSION)
    if not value or value.get("lock") != _digest(target) or value.get("machine") != machine.created:
        return None
    return Ready(str(value["id"]), str(value["prefix"]))


def _digest(target: Target) -> str:
    file = target.project.lock_file
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""
