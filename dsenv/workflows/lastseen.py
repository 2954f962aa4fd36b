"""A workstation as it was when it last answered: the way there is tried before its provider is asked for it.

Only time is saved by it, so it may be missing, old or damaged. A machine that has its address by now does not show its
host key, and is refused.
"""

from __future__ import annotations

import dataclasses
from contextlib import suppress
from pathlib import Path

from dsenv.errors import StateError
from dsenv.models.machine import Endpoint, Identity, Limits, Machine, State
from dsenv.state import store

_FILE = "machine.json"
_VERSION = 1


def read(folder: Path) -> Machine | None:
    """What `write` left in a workstation's folder; None when that is nothing that can be used."""
    with suppress(StateError, KeyError, TypeError, ValueError):
        value = store.read(folder / _FILE, version=_VERSION)
        if value is not None:
            who, way, limits = value["identity"], value["endpoint"], value["limits"]
            value["identity"] = Identity(**who | {"root": Path(who["root"])})
            value["endpoint"] = Endpoint(**way | {"key_file": Path(way["key_file"]), "proxy": tuple(way["proxy"])})
            value["limits"] = Limits(**limits) if limits else None
            value["state"] = State(value["state"])
            return Machine(**value)
    return None


def write(folder: Path, machine: Machine) -> None:
    """Remember a workstation that runs. One on this machine is found as quickly as this is read."""
    if machine.endpoint is None or machine.shares_files:
        return
    fields = dataclasses.asdict(machine)
    fields["identity"]["root"] = str(machine.identity.root)
    fields["endpoint"]["key_file"] = str(machine.endpoint.key_file)
    with suppress(StateError):  # it is asked for again next time
        store.write(folder / _FILE, fields, version=_VERSION)


def forget(folder: Path) -> None:
    """It is not there any more."""
    (folder / _FILE).unlink(missing_ok=True)
