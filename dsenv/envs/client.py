"""dsenv itself on a workstation, for what is to be done there as it is done here."""

from __future__ import annotations

import hashlib
from importlib.metadata import version

from dsenv import resources
from dsenv.envs.install import uv_on
from dsenv.errors import InstallError
from dsenv.events import Emit, step
from dsenv.transports.base import Transport

_FOLDER = ".cache/dsenv/client"
# What the client needs where nobody sits in front of it and no other machine is reached from.
_NEEDED = ("packaging", "pathspec", "platformdirs", "pydantic", "typer", "uv")
_PYTHON = ">=3.11"


def ensure(transport: Transport, emit: Emit) -> list[str]:
    """Have this version of dsenv on the workstation; returns the words that start it there.

    Raises InstallError, TransportError.
    """
    archive = resources.client_archive()
    pins = [f"{name}=={version(name)}" for name in _NEEDED]
    home = transport.run(["pwd"]).check().stdout.decode("utf-8", "surrogateescape").rstrip("\n")
    folder = f"{home}/{_FOLDER}"
    packages = f"{folder}/{hashlib.sha256(' '.join(pins).encode()).hexdigest()[:24]}"
    program = f"{folder}/{hashlib.sha256(archive).hexdigest()[:24]}.pyz"
    with step(emit, "client", "dsenv on the workstation") as note:
        note.note = "present"
        if transport.run([f"{packages}/bin/python", "-c", "import typer, uv"]).code:
            _install(transport, packages, pins)
            note.note = "installed"
        if transport.run(["test", "-s", program]).code:
            transport.put(archive, program)
    return [f"{packages}/bin/python", "-I", program]


def _install(transport: Transport, packages: str, pins: list[str]) -> None:
    """Beside its place first, so that an interrupted installation is never taken for one."""
    uv, fresh = uv_on(transport), f"{packages}.tmp"
    commands = (
        ["rm", "-rf", fresh, packages],
        [uv, "venv", "-q", "--no-project", "--relocatable", "--python", _PYTHON, fresh],
        [uv, "pip", "install", "-q", "--no-build", "--python", f"{fresh}/bin/python", *pins],
        ["mv", "-T", fresh, packages],
    )
    for command in commands:
        done = transport.run(command)
        if done.code:
            words = done.stderr.decode("utf-8", "replace").strip()
            raise InstallError(
                "dsenv cannot be installed on the workstation, which it needs to reproduce there",
                hint="it needs Python 3.11 or newer and the package index on that machine",
                detail=words[-2000:] or None,
            )
