"""What our things are called on an engine, and the labels that say whose they are."""

from __future__ import annotations

import getpass
import os
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

from dsenv.models.machine import Identity, Limits

ID, ROOT, PROJECT, NAME = "dsenv.id", "dsenv.root", "dsenv.project", "dsenv.name"
CREATED, USER, KIND = "dsenv.created", "dsenv.user", "dsenv.kind"
HOST_KEY, LIMITS, IMAGE = "dsenv.host-key", "dsenv.limits", "dsenv.image"
INSTALLATION, MACHINE = "dsenv.installation", "dsenv.machine"  # of a container: who made it, and where that is
BASE = "dsenv.base"  # of an image: the tag of the image of ours that it was made from

REPOSITORY = "dsenv-workstation"
LOGIN = "dsenv"  # the user inside
HOME = f"/home/{LOGIN}"
SSH_PORT = "22/tcp"


def thing(identity: Identity) -> str:
    """The name of a workstation's container, and of its volume."""
    return f"dsenv-{identity.id}"


def replaced(identity: Identity) -> str:
    """The name of a container whose successor is being made."""
    return f"dsenv-{identity.id}.replaced"


def user() -> str:
    """Who we are, for an engine that several people use."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # no such user in the database, as in a container
        return f"uid-{os.getuid()}" if hasattr(os, "getuid") else "user"


def labels(identity: Identity, kind: str, created: int | None = None) -> dict[str, str]:
    """The labels of a thing that belongs to a workstation; `created` in microseconds, default: now."""
    return {
        ID: identity.id,
        ROOT: quote(os.fsencode(identity.root), safe="/ "),  # a label is text, a path is bytes
        PROJECT: identity.project,
        NAME: identity.name,
        CREATED: str(created or int(time.time() * 1e6)),
        USER: user(),
        KIND: kind,
    }


def identity_of(found: Mapping[str, str]) -> Identity:
    """Whose thing it is, by its labels."""
    return Identity(
        Path(os.fsdecode(unquote_to_bytes(found.get(ROOT, "")))), found.get(PROJECT, ""), found.get(NAME, "")
    )


def created_of(found: Mapping[str, str]) -> int:
    """Microseconds since the epoch, 0 when the label was tampered with."""
    value = found.get(CREATED, "")
    return int(value) if value.isdigit() else 0


def limits_label(limits: Limits) -> str:
    """The limits as one label."""
    return f"{limits.idle_seconds},{limits.max_seconds}"


def limits_of(value: str) -> Limits | None:
    """What `limits_label` wrote; None for anything else."""
    idle, _, most = value.partition(",")
    return Limits(int(idle), int(most)) if idle.isdigit() and most.isdigit() else None
