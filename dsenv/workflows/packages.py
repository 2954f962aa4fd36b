"""The system packages that a project declares, on a workstation that is ours to change."""

from __future__ import annotations

import json
from collections.abc import Sequence

from dsenv.errors import EnvError, ProviderError
from dsenv.events import Cancel, Emit, Notice, Progress, step
from dsenv.models.machine import Machine
from dsenv.providers.base import Provider
from dsenv.transports.base import CommandResult, Transport

# What a machine that installs them by itself, from its first moment on, says of it, as JSON: `state` is waiting,
# installing, done or failed.
STATUS = "/var/lib/dsenv/packages.status"
_WAIT_SECONDS = 1200.0
_EVERY_SECONDS = 0.5
_APT = ["apt-get", "-y", "-q", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=120"]


def ensure(
    provider: Provider, machine: Machine, names: Sequence[str], transport: Transport, emit: Emit, cancel: Cancel
) -> None:
    """Have all of `names` installed. On machines that are not ours, what is missing is only told.

    Raises EnvError when a package cannot be had, ProviderError when nobody may install there, TransportError.
    """
    if not names or machine.shares_files:
        return
    with step(emit, "packages", "system packages") as note:
        lacking = missing(transport, names)
        if lacking and not provider.owns_machines:
            command = f"sudo apt-get install {' '.join(lacking)}"
            emit(Notice(f"{machine.identity.name} lacks {', '.join(lacking)}; on it: {command}", "warning"))
            note.note = f"{len(lacking)} of {len(names)} missing"
            return
        if lacking:
            _wait(transport, emit, cancel)
            lacking = missing(transport, names)
        if lacking:
            _install(transport, lacking, machine)
        note.note = f"{len(lacking)} installed" if lacking else "present"


def missing(transport: Transport, names: Sequence[str]) -> list[str]:
    """Those of `names` that dpkg does not have, in their order."""
    answer = transport.run(["dpkg-query", "-W", "-f", "${db:Status-Status} ${Package}\\n", *names])
    lines = (line.split() for line in answer.stdout.decode("utf-8", "replace").splitlines())
    installed = {words[1] for words in lines if words[:1] == ["installed"]}
    return [name for name in names if name not in installed]


def _wait(transport: Transport, emit: Emit, cancel: Cancel) -> None:
    """Until the machine's own installation has ended, if there is one. How it ended is seen by what is there."""
    for _ in range(int(_WAIT_SECONDS / _EVERY_SECONDS)):
        answer = transport.run(["cat", STATUS])
        try:
            state = json.loads(answer.stdout)["state"] if answer.code == 0 else "none"
        except (ValueError, KeyError, TypeError):
            state = "none"
        if state not in {"waiting", "installing"}:
            return
        emit(Progress("packages", 0, 0, "installed by the machine itself"))
        cancel.wait(_EVERY_SECONDS)
        cancel.check()


def _install(transport: Transport, names: Sequence[str], machine: Machine) -> None:
    prefix = [] if transport.run(["id", "-u"]).stdout.strip() == b"0" else ["sudo", "-n"]
    if prefix and transport.run([*prefix, "true"]).code:
        raise ProviderError(
            f"nobody may install {', '.join(names)} on {machine.identity.name}: sudo asks for a password there",
            hint=f"on it: sudo apt-get install {' '.join(names)}",
        )
    environ = ["env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8"]
    done = transport.run([*prefix, *environ, *_APT, "install", *names])
    if done.code:  # a new machine's lists are empty or old
        transport.run([*prefix, *environ, *_APT, "update"])
        done = transport.run([*prefix, *environ, *_APT, "install", *names])
    if done.code:
        raise EnvError(
            f"cannot install {', '.join(names)} on {machine.identity.name}",
            hint="look for the right names with `apt-cache search` on it, then edit `apt` in dsenv.toml",
            detail=_words(done),
        )


def _words(done: CommandResult) -> str:
    lines = (done.stdout + done.stderr).decode("utf-8", "replace").strip().splitlines()
    errors = [line for line in lines if line.startswith("E: ")]
    return "\n".join(errors or lines[-5:])
