"""Workstations on machines that the user has: a folder of ours in the account's home, reached by the user's own ssh."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import ClassVar

from dsenv.errors import ProviderError, TransportError, WorkstationNotReadyError
from dsenv.events import Emit
from dsenv.models.machine import Endpoint, Identity, Machine, Problem, State
from dsenv.providers.base import Provider, Spec
from dsenv.providers.ssh import memory, there
from dsenv.providers.ssh.memory import Memory
from dsenv.providers.ssh.there import Hosted
from dsenv.transports import openssh
from dsenv.transports.base import Transport


class SshProvider(Provider):
    """Machines of the user's. They are not ours to switch off, and nothing of theirs outside our folder is changed."""

    name: ClassVar[str] = "ssh"

    def check(self) -> list[Problem]:
        if shutil.which("ssh") is None:
            return [Problem("there is no ssh on this machine", "install OpenSSH's client")]
        return []

    def find(self, identity: Identity) -> Machine | None:
        saved = memory.read(identity)
        host = saved.host if saved else memory.host_of(identity)
        if host is None:
            return None
        with openssh.OpenSshTransport(_checked(host)) as transport:
            hosted = there.find(there.look(transport), identity)
        if hosted is None:
            return None
        _remember(hosted, host, saved)
        return _machine(hosted, host)

    def machines(self) -> list[Machine]:
        saved = memory.everything()
        found: list[Machine] = []
        for host in sorted({item.host for item in saved}):
            try:
                with openssh.OpenSshTransport(_checked(host)) as transport:
                    found += [_machine(hosted, host) for hosted in there.look(transport)]
            except TransportError as error:
                found += [_unreachable(item, error) for item in saved if item.host == host]
        return found

    def create(self, spec: Spec, emit: Emit) -> Machine:
        host = _checked(spec.settings.host or "")
        saved = memory.read(spec.identity)
        if saved and saved.host != host and self.find(spec.identity) is not None:
            raise ProviderError(
                f"the workstation {spec.identity.name} is on {saved.host}, and dsenv.toml says {host}",
                hint="`dsenv down` destroys the old one; or set `host` in dsenv.toml back",
            )
        with openssh.OpenSshTransport(host) as transport:
            hosted = there.make(transport, host, spec.identity)
        _remember(hosted, host, saved)
        return _machine(hosted, host)

    def refresh(self, machine: Machine) -> Machine:
        with openssh.OpenSshTransport(_checked(machine.region)) as transport:
            hosted = there.find(there.look(transport), machine.identity)
        if hosted is None:
            raise WorkstationNotReadyError(
                f"the workstation {machine.identity.name} on {machine.region} is gone", hint=_again(machine)
            )
        return _machine(hosted, machine.region)

    def destroy(self, machine: Machine, emit: Emit) -> None:
        with openssh.OpenSshTransport(_checked(machine.region)) as transport:
            hosted = there.find(there.look(transport), machine.identity)
            if hosted is not None:
                there.retire(transport, machine.region, hosted)
        self.forget(machine.identity)

    def forget(self, identity: Identity) -> None:
        memory.forget(identity)

    def transport(self, machine: Machine) -> Transport:
        if machine.endpoint is None:
            raise WorkstationNotReadyError(
                f"the workstation {machine.identity.name} on {machine.region} cannot be reached", hint=_again(machine)
            )
        return openssh.OpenSshTransport(_checked(machine.region), machine.home)


def _checked(host: str) -> str:
    """A host that ssh does not take for an option."""
    if (
        not host
        or host.startswith("-")
        or any(character.isspace() or not character.isprintable() for character in host)
    ):
        raise ProviderError(f"{host!r} is no name of a host", hint="correct `host` in dsenv.toml")
    return host


def _remember(hosted: Hosted, host: str, saved: Memory | None) -> None:
    now = Memory(hosted.identity, host, hosted.created, hosted.home, hosted.python)
    if now != saved:
        now.write()


def _machine(hosted: Hosted, host: str) -> Machine:
    return Machine(
        identity=hosted.identity,
        provider=SshProvider.name,
        state=State.RUNNING,
        alias=hosted.identity.alias,
        created=hosted.created,
        home=hosted.home,
        python=hosted.python,
        shares_files=False,
        endpoint=_endpoint(host),
        note=host,
        region=host,
    )


def _unreachable(saved: Memory, error: TransportError) -> Machine:
    """Whether it is there cannot be known now; it is not for us to say that it was switched off."""
    return Machine(
        identity=saved.identity,
        provider=SshProvider.name,
        state=State.CRASHED,
        alias=saved.identity.alias,
        created=saved.created,
        home=saved.home,
        python=saved.python,
        shares_files=False,
        endpoint=None,
        note=error.message,
        region=saved.host,
    )


def _endpoint(host: str) -> Endpoint:
    """Where the user's own configuration leads. Keys are its business: there is none of ours to pin."""
    found = openssh.settings_of(host)
    name = found.get("hostname", [host])[0]
    keys = [Path(file).expanduser() for file in found.get("identityfile", [])]
    key = next((file for file in keys if file.is_file()), keys[0] if keys else Path())
    alias = found.get("hostkeyalias", [name])[0]
    return Endpoint(name, int(found.get("port", ["22"])[0]), found.get("user", [""])[0], key, "", alias)


def _again(machine: Machine) -> str:
    name = machine.identity.name
    return "dsenv up" if name == "default" else f"dsenv up {name}"
