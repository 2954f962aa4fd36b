"""Reproduce a run on a workstation: dsenv goes there with the record, and does what it does here."""

from __future__ import annotations

import dataclasses
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from dsenv.config import load
from dsenv.config.schema import Config, Project, Workstation
from dsenv.envs import client
from dsenv.errors import TransportError, UsageError
from dsenv.events import Cancel, Emit, step
from dsenv.models.machine import Identity, Machine
from dsenv.providers import registry
from dsenv.runs import keys
from dsenv.runs.record import Record
from dsenv.runs.references import References
from dsenv.sync.follow import Console, Outcome
from dsenv.transports.base import Pty, Transport
from dsenv.workflows import down, needs, sync, up
from dsenv.workflows.ssh import ssh
from dsenv.workflows.target import Target, agent_client, open_target

_BLOCK = 1 << 18
DOCKER = "docker"  # where no workstation is named so, a container that is made for this and destroyed


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What `reproduce` is to do there: `options` are its own words, `tree` whether it needs the working tree."""

    options: Sequence[str]
    tree: bool = False
    keep: bool = False  # the container too


def reproduce(
    record: Record, on: str, wanted: Wanted, console: Console, *, pty: Pty | None, emit: Emit, cancel: Cancel
) -> Outcome:
    """Its outcome is that of `dsenv reproduce` there, whose output goes to `console`.

    Raises ProviderError, EnvError, TransportError, and as `reproduce` does for records that cannot be read.
    """
    with _place(record, on, wanted, emit, cancel) as target:
        machine = target.machine()
        with target.provider.transport(machine) as transport:
            words = [sys.executable, "-I", "-m", "dsenv"] if machine.shares_files else client.ensure(transport, emit)
            cancel.check()
            folder = _deliver(transport, machine, record, emit)
        try:
            root = machine.home
            if wanted.tree:
                with agent_client(target) as agent, target.locked(cancel):
                    root = sync.push(target, agent, machine, None, emit=emit, cancel=cancel).root
            command = [*words, "reproduce", record.id, "--store", folder, "--no-tui", *wanted.options]
            argv = ["sh", "-c", 'cd "$0" && exec "$@"', root, *command]
            return ssh(target, argv, console, pty=pty, emit=emit, cancel=cancel)
        finally:
            with suppress(TransportError), target.provider.transport(machine) as transport:
                transport.run(["rm", "-rf", folder])


def makes_container(on: str) -> bool:
    """Whether `on` is no workstation but asks for a container."""
    project = load.load_if_any()
    return on == DOCKER and not (project and on in project.config.workstations)


@contextmanager
def _place(record: Record, on: str, wanted: Wanted, emit: Emit, cancel: Cancel) -> Iterator[Target]:
    project = load.load_if_any()
    if project and not makes_container(on):
        yield open_target(on, project.root)
        return
    if on != DOCKER:
        raise UsageError(f"there is no project here, and so no workstation {on}", hint="dsenv init, or --on docker")
    target = _container(record, project)
    # Processors and memory are limited by the reproduction itself, as far as this engine's machine has them.
    like = dataclasses.replace(needs.of_record(record), cpus=0, memory_gb=0.0)
    up.up(target, like=like, emit=emit, cancel=cancel)
    try:
        yield target
    finally:
        if not wanted.keep:
            down.down(target, emit=emit, cancel=Cancel())


def _container(record: Record, project: load.Loaded | None) -> Target:
    """A workstation for this record alone, in the engine that the project uses."""
    used = [item for item in (project.config.workstations if project else {}).values() if item.provider == DOCKER]
    settings = used[0] if used else Workstation(provider=DOCKER)
    root = project.root if project else Path.cwd()
    name = f"reproduce-{record.id[-4:]}"
    alone = load.Loaded(root / ".dsenv-none", Config(project=Project(name="reproduce")))
    return Target(alone, settings, registry.load(DOCKER), Identity(root, "reproduce", name))


def _deliver(transport: Transport, machine: Machine, record: Record, emit: Emit) -> str:
    """Put the record into a store of its own on the workstation; returns its folder there."""
    folder = transport.run(["mktemp", "-d", "/var/tmp/dsenv-record-XXXXXXXX"]).check().stdout.decode().strip()  # noqa: S108
    with step(emit, "record", f"bring the record to {machine.identity.name}") as note, tempfile.TemporaryFile() as file:
        _pack(record, file)
        note.note = f"{file.tell() / 1e6:.1f} MB"
        file.seek(0)
        with transport.open_channel(["tar", "-x", "-f", "-", "-C", folder]) as channel:
            while data := file.read(_BLOCK):
                channel.send(data)
            channel.send_eof()
            if channel.wait():
                words = channel.errors().decode("utf-8", "replace").strip()
                raise TransportError(f"cannot write {folder} on {machine.alias}", detail=words or None)
    return folder


def _pack(record: Record, file: BinaryIO) -> None:
    """The record and all contents that it refers to, as a tar file. Raises RecordError, StoreError."""
    with tarfile.open(fileobj=file, mode="w") as archive:
        for stored in record.store.everything(keys.record(record.id)):
            _add(archive, record, stored.key)
        entry = keys.index(keys.day(record.id), record.status, record.id)
        _add(archive, record, entry)
        for digest in sorted(References().of(record)):
            _add(archive, record, keys.blob(digest))


def _add(archive: tarfile.TarFile, record: Record, key: str) -> None:
    """One file of the store; one that is not there is left out, and missed by who needs it."""
    stream, size = record.store.open(key), record.store.size(key)
    if stream is None or size is None:
        return
    with stream:
        info = tarfile.TarInfo(key)
        info.size, info.mode = size, 0o600
        archive.addfile(info, stream)
