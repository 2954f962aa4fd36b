"""The agent on a machine: one file by its digest, put there once."""

from __future__ import annotations

import hashlib

from dsenv import resources
from dsenv.transports.base import Transport

FOLDER = ".cache/dsenv/agent"


def archive_path() -> str:
    """Where this version of the agent is on a machine, relative to the user's home."""
    return f"{FOLDER}/{hashlib.sha256(resources.agent_archive()).hexdigest()[:24]}.pyz"


def deploy(transport: Transport, python: str = "python3") -> list[str]:
    """Make sure that this version of the agent is there; returns the words that start it with `python`.

    Costs one command when it is there already. Raises TransportError.
    """
    path = archive_path()
    if transport.run(["test", "-s", path]).code:
        transport.put(resources.agent_archive(), path)
    return [python, "-I", "-S", path]
