"""Workstations on this machine: a real SSH server on loopback, as the user, with a HOME of its own."""

from __future__ import annotations

import dataclasses
import os
import shutil
import sys
import time
from collections.abc import Callable
from typing import ClassVar

from dsenv.agent import jobs, process
from dsenv.config import paths
from dsenv.config.schema import Workstation
from dsenv.errors import ProviderError, StateError, TransportError, WorkstationNotReadyError
from dsenv.events import Emit, Notice
from dsenv.models.machine import Endpoint, Identity, Machine, Problem, State
from dsenv.providers import keys, reach
from dsenv.providers.base import CanStop, Provider, Spec
from dsenv.providers.local import asyncssh_launch, server, sshd
from dsenv.providers.local.layout import Kind, Layout, Saved, agent_python, current_user
from dsenv.state import store
from dsenv.transports.base import Pty, Transport

_PORT_TRIES = 5
_JOB_SECONDS = 5.0


class LocalProvider(Provider, CanStop):
    """The embedded workstation."""

    name: ClassVar[str] = "local"

    def __init__(self, boot: Callable[[], str] = process.boot_id) -> None:
        """`boot` tells this boot of the machine from others."""
        self._boot = boot

    def check(self) -> list[Problem]:
        if sys.platform == "win32":
            return [Problem("embedded workstations need Linux or macOS", "use WSL, or another provider")]
        return []

    def find(self, identity: Identity) -> Machine | None:
        layout = Layout.of(identity)
        saved = Saved.read(layout)
        return self._machine(layout, saved) if saved else None

    def machines(self) -> list[Machine]:
        found = []
        for folder in sorted(paths.workstations_dir().glob("*/local.json")):
            layout = Layout(folder.parent)
            saved = Saved.read(layout)
            if saved:
                found.append(self._machine(layout, saved))
        return found

    def create(self, spec: Spec, emit: Emit) -> Machine:
        identity, settings = spec.identity, spec.settings
        layout = Layout.of(identity)
        saved = Saved.read(layout)
        if saved and self._alive(saved):
            machine = self._machine(layout, saved)
            if self._fits(saved, settings) and self._logs_in(machine):
                return machine
            self._end(layout, saved)
        _make_folders(layout)
        host_key = keys.ensure(layout.host_key)
        store.write_bytes(layout.folder / "authorized_keys", f"{keys.ensure(layout.client_key)}\n".encode())
        created = saved.created if saved else int(time.time() * 1e6)
        port = settings.port or (saved.port if saved else 0)
        draft = Saved(
            str(identity.root), identity.project, identity.name, created, port, "sshd", "running", host_key, None
        )
        return self._serve(layout, draft, settings, emit)

    def refresh(self, machine: Machine) -> Machine:
        found = self.find(machine.identity)
        if found is None:
            raise WorkstationNotReadyError(f"the workstation {machine.identity.name} is gone", hint="dsenv up")
        return found

    def destroy(self, machine: Machine, emit: Emit) -> None:
        layout = Layout.of(machine.identity)
        try:
            saved = Saved.read(layout)
        except StateError:
            saved = None  # a damaged state must not keep the files on the disk for ever
        if saved:
            self._end(layout, saved)
        trash = layout.folder.with_name(f".{layout.folder.name}.{os.getpid()}")
        try:
            layout.folder.rename(trash)
            shutil.rmtree(trash)
        except FileNotFoundError:
            return
        except OSError as error:
            raise ProviderError(f"cannot remove {error.filename or trash}: {error.strerror}") from error

    def stop(self, machine: Machine, emit: Emit) -> Machine:
        layout = Layout.of(machine.identity)
        saved = Saved.read(layout)
        if saved is None:
            raise WorkstationNotReadyError(f"the workstation {machine.identity.name} is gone", hint="dsenv up")
        dataclasses.replace(saved, wanted="stopped").write(layout)
        self._end(layout, saved)
        dataclasses.replace(saved, wanted="stopped", process=None).write(layout)
        return self.refresh(machine)

    def start(self, machine: Machine, emit: Emit) -> Machine:
        layout = Layout.of(machine.identity)
        saved = Saved.read(layout)
        if saved is None:
            raise WorkstationNotReadyError(f"the workstation {machine.identity.name} is gone", hint="dsenv up")
        return self.create(Spec(saved.identity, Workstation(server=saved.kind)), emit)

    def transport(self, machine: Machine) -> Transport:
        return reach.over_ssh(machine)

    # --- the server

    def _serve(self, layout: Layout, draft: Saved, settings: Workstation, emit: Emit) -> Machine:
        """Start a server of the wanted kind that really lets us in, and remember it."""
        kinds: list[Kind] = ["sshd", "builtin"] if settings.server == "auto" else [settings.server]
        if settings.server == "auto" and sshd.find() is None:
            kinds = ["builtin"]
        problem: ProviderError | TransportError | None = None
        self._port(draft.port, settings)  # a port that is taken is taken for both kinds
        for kind in kinds:
            if problem:
                emit(Notice(f"the system's sshd cannot be used ({problem.message}); using our own server"))
            try:
                return self._serve_kind(layout, dataclasses.replace(draft, kind=kind), settings)
            except (ProviderError, TransportError) as error:
                problem = error
        assert problem is not None
        raise problem

    def _serve_kind(self, layout: Layout, draft: Saved, settings: Workstation) -> Machine:
        start = sshd.start if draft.kind == "sshd" else asyncssh_launch.start
        for attempt in range(_PORT_TRIES):
            port = self._port(draft.port if attempt == 0 else 0, settings)
            try:
                running = start(layout, port)._replace(boot=self._boot())
            except ProviderError:
                if settings.port or attempt == _PORT_TRIES - 1 or server.is_free(port):
                    raise
                continue  # somebody took the port between the look and the start
            saved = dataclasses.replace(draft, port=port, process=running)
            saved.write(layout)
            machine = self._machine(layout, saved)
            try:
                self._try(machine, terminal=settings.server == "auto" and draft.kind == "sshd")
            except TransportError:
                server.end(running, self._boot)
                dataclasses.replace(saved, process=None).write(layout)
                raise
            return machine
        raise AssertionError

    def _try(self, machine: Machine, *, terminal: bool) -> None:
        """Log in. With `terminal`, see whether it can make one: an sshd that is not root's cannot everywhere."""
        with self.transport(machine) as transport:
            if not terminal:
                return
            try:
                with transport.open_channel(["true"], pty=Pty("dumb", 80, 24)) as channel:
                    channel.wait()
            except TransportError as error:
                raise TransportError("it cannot make terminals here") from error

    def _port(self, wanted: int, settings: Workstation) -> int:
        if settings.port and not server.is_free(settings.port):
            raise ProviderError(
                f"port {settings.port} of this machine is taken by another program",
                hint="change or remove `port` in dsenv.toml, then: dsenv up",
            )
        if wanted and server.is_free(wanted):
            return wanted
        return server.free_port()

    def _fits(self, saved: Saved, settings: Workstation) -> bool:
        return settings.server in {"auto", saved.kind} and settings.port in {None, saved.port}

    def _logs_in(self, machine: Machine) -> bool:
        try:
            self._try(machine, terminal=False)
        except TransportError:
            return False
        return True

    def _alive(self, saved: Saved) -> bool:
        return saved.process is not None and saved.process.alive(self._boot)

    def _end(self, layout: Layout, saved: Saved) -> None:
        """End the jobs, then the server; only processes that are provably the ones we started."""
        import signal

        supervised = [(job, job.supervisor()) for job in jobs.running(str(layout.home / ".dsenv"))]
        for _, supervisor in supervised:
            if supervisor is not None:
                for member in server.descendants(supervisor.pid):
                    member.signal(signal.SIGTERM)
        deadline = time.monotonic() + _JOB_SECONDS
        while any(job.status() == jobs.RUNNING for job, _ in supervised) and time.monotonic() < deadline:
            time.sleep(0.02)
        for _, supervisor in supervised:
            if supervisor is not None:
                server.end(supervisor)
        for job in jobs.listing(str(layout.home / ".dsenv")):
            job.end_command()
        if saved.process is not None and saved.process.alive(self._boot):
            server.end(saved.process, self._boot)

    def _machine(self, layout: Layout, saved: Saved) -> Machine:
        alive = self._alive(saved)
        state = State.RUNNING if alive else State.STOPPED if saved.wanted == "stopped" else State.CRASHED
        identity = saved.identity
        endpoint = Endpoint(
            "127.0.0.1", saved.port, current_user(), layout.client_key, saved.host_key, f"dsenv-{identity.id}"
        )
        return Machine(
            identity=identity,
            provider=self.name,
            state=state,
            alias=identity.alias,
            created=saved.created,
            home=str(layout.home),
            python=agent_python(),
            shares_files=True,
            endpoint=endpoint if alive else None,
            note="sshd" if saved.kind == "sshd" else "built-in server",
        )


def _make_folders(layout: Layout) -> None:
    try:
        paths.private(layout.folder)
        paths.private(layout.home)
    except OSError as error:
        raise StateError(f"cannot make {layout.home}: {error.strerror}") from error
