"""When a workstation switches itself off, and what counts as work."""

from __future__ import annotations

import json
from typing import Any, Dict, List, NamedTuple

FILE = "/etc/dsenv/limits.json"
VERSION = 1


class Limits(NamedTuple):
    """What the provider has written down for this machine. Zero seconds mean never."""

    idle_seconds: float = 1800.0
    max_seconds: float = 86400.0
    power_off: List[str] = ["systemctl", "poweroff"]  # noqa: RUF012 - never changed
    # Work, below which a machine that is only switched on stays by a factor of about five.
    cpu: float = 0.10  # of one processor
    gpu: float = 5.0  # percent
    disk: float = 1e6  # bytes a second, read and written
    network: float = 2e5  # bytes a second, both ways


def read(file: str = FILE) -> Limits:
    """The limits of this machine. Raises OSError or ValueError when they cannot be known."""
    with open(file, encoding="utf-8") as source:
        value: Dict[str, Any] = json.load(source)
    if value.pop("version", 0) != VERSION:
        raise ValueError("{} is not of version {}".format(file, VERSION))
    known = {name: value[name] for name in Limits._fields if name in value}
    return Limits(**known)


def as_json(limits: Limits) -> bytes:
    """The file that `read` reads."""
    return json.dumps({"version": VERSION, **limits._asdict()}, indent=1).encode("ascii")
