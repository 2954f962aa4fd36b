"""Workstations that are containers of a docker engine, here or elsewhere."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Collection
from typing import Any, ClassVar

from dsenv.config.schema import Workstation
from dsenv.errors import HostKeyError, ProviderError, TransportError, WorkstationNotReadyError
from dsenv.events import Emit, Progress
from dsenv.models.machine import Identity, Limits, Machine, Problem, Resource, State
from dsenv.providers import keys, reach
from dsenv.providers.base import CanAudit, CanResize, CanStop, Provider, Spec, made_elsewhere
from dsenv.providers.docker import container, engine, holdings, image, inside, memory, names, resizing
from dsenv.providers.docker.engine import Engine
from dsenv.providers.docker.memory import Memory
from dsenv.providers.size import Size, parse
from dsenv.state import installation
from dsenv.transports.base import Transport

_LOGIN_SECONDS = 40.0
_KEY_SECONDS = 1.0  # of no success, after which our key is put there again: another machine's may be in its place
_RESTART_SECONDS = 10.0  # after which a server that hangs is ended with all that runs beside it


class DockerProvider(Provider, CanStop, CanResize, CanAudit):
    """Containers with an SSH server, a volume for the home, and the environment in their image."""

    name: ClassVar[str] = container.PROVIDER
    owns_machines: ClassVar[bool] = True

    def check(self) -> list[Problem]:
        try:
            with engine.connected(engine.in_use()):
                return []
        except ProviderError as error:
            return [] if _others_answer() else [Problem(error.message, error.hint or "docker info")]

    def find(self, identity: Identity) -> Machine | None:
        saved = memory.read(identity)
        address = saved.address if saved else engine.in_use(memory.context_of(identity))
        try:
            with engine.connected(address) as there:
                return _find(there, identity, saved)
        except ProviderError:
            if saved is None:
                return None  # there is no such engine, so there is nothing on it either
            raise

    def machines(self) -> list[Machine]:
        saved = {item.identity.id: item for item in memory.everything()}
        if not saved and not engine.is_likely():
            return []
        found: list[Machine] = []
        for address in sorted({engine.in_use(), *(item.address for item in saved.values())}):
            try:
                with engine.connected(address) as there:
                    found += _all(there, saved)
            except ProviderError as error:
                found += [_unreachable(item, error) for item in saved.values() if item.address == address]
        return found

    def create(self, spec: Spec, emit: Emit) -> Machine:
        identity, limits = spec.identity, _limits(spec.settings)
        saved = memory.read(identity)
        address = spec.settings.context or (saved.address if saved else engine.in_use())
        if saved and saved.address != address:
            _refuse_to_move(saved, address)
        with engine.connected(address) as there:
            self._make_or_repair(there, spec, emit)
            wanted = Memory(identity, address, container.ensure_volume(there, identity), limits)
            if saved != wanted:
                wanted.write()
            machine = self._logged_in(there, identity, emit)
            if saved and saved.limits != limits:
                container.put(there, identity, inside.watch_files(limits))
                container.restart_watch(there, identity)
            return machine

    def refresh(self, machine: Machine) -> Machine:
        with engine.connected(machine.region) as there:
            return _refreshed(there, machine)

    def destroy(self, machine: Machine, emit: Emit) -> None:
        identity = machine.identity
        with engine.connected(machine.region) as there:
            for name in (names.thing(identity), names.replaced(identity)):
                container.remove(there, name)
            resizing.remove_snapshots(there, identity)
            container.remove_volume(there, names.thing(identity))  # last: while it is there, the workstation is found
        self.forget(identity)

    def forget(self, identity: Identity) -> None:
        memory.forget(identity)

    def stop(self, machine: Machine, emit: Emit) -> Machine:
        with engine.connected(machine.region) as there:
            resizing.settled(there, machine.identity)
            memory.to_run_again_no_more(machine.identity)
            if _refreshed(there, machine).state is not State.STOPPED:
                container.stop(there, machine.identity)
            return _refreshed(there, machine)

    def start(self, machine: Machine, emit: Emit) -> Machine:
        with engine.connected(machine.region) as there:
            _refreshed(there, machine)
            resizing.settled(there, machine.identity)
            container.start(there, machine.identity)
            return self._logged_in(there, machine.identity, emit)

    def transport(self, machine: Machine) -> Transport:
        return reach.over_ssh(machine)

    def reconnect(self, machine: Machine) -> Transport:
        return reach.over_ssh(machine, soon=True)

    def resize(self, machine: Machine, spec: Spec, emit: Emit) -> Machine:
        with engine.connected(machine.region) as there:
            _refreshed(there, machine)
            if found := container.inspect(there, names.thing(machine.identity)):
                _refuse_to_take(machine.identity, found)
            runs = resizing.resize(there, spec, _fitting(there, spec), emit)
            return self._logged_in(there, machine.identity, emit) if runs else _refreshed(there, machine)

    def audit(self, regions: Collection[str] = ()) -> list[Resource]:
        found: list[Resource] = []
        for address in sorted({engine.in_use(), *regions, *(item.address for item in memory.everything())}):
            with engine.connected(address) as there:
                found += holdings.listing(there)
        return found

    def remove(self, resource: Resource, emit: Emit) -> None:
        with engine.connected(resource.region) as there:
            holdings.remove(there, resource)

    # --- making

    def _make_or_repair(self, there: Engine, spec: Spec, emit: Emit) -> None:
        size = _fitting(there, spec)
        found = resizing.settled(there, spec.identity)
        if found is not None and container.has_run(found):
            self._repair(there, spec, found)
            return
        if found is not None:  # it never ran, so it may lack its keys
            container.remove(there, names.thing(spec.identity))
        self._make(there, spec, size, emit)

    def _make(self, there: Engine, spec: Spec, size: Size, emit: Emit) -> None:
        """The volume, the image, the container with its keys, in this order, then start it."""
        identity, limits = spec.identity, _limits(spec.settings)
        built = image.ensure(there, spec, emit)
        created = container.ensure_volume(there, identity)
        private, public = keys.new()
        plan = container.Plan(identity, built, size, limits, public)
        if container.make(there, plan, created):
            container.put(
                there, identity, inside.first_files(limits, private, _own_key(identity, there, created, limits))
            )
        container.start(there, identity)

    def _repair(self, there: Engine, spec: Spec, found: dict[str, Any]) -> None:
        """Let a container that ran before run again, for us."""
        identity = spec.identity
        _refuse_to_take(identity, found)
        if not memory.key_file(identity).is_file():
            created = names.created_of(found["Config"]["Labels"])
            key = _own_key(identity, there, created, _limits(spec.settings))
            container.put(there, identity, [inside.authorized(key)])
        container.start(there, identity)

    def _logged_in(self, there: Engine, identity: Identity, emit: Emit) -> Machine:
        """Wait until the SSH server lets us in. Raises ProviderError with the container's last words."""
        key = memory.key_file(identity)
        begun, problem = time.monotonic(), ""
        remedies = [
            (_RESTART_SECONDS, lambda: container.restart(there, identity)),
            (_KEY_SECONDS, lambda: container.put(there, identity, [inside.authorized(keys.ensure(key))])),
        ]
        while time.monotonic() - begun < _LOGIN_SECONDS:
            machine = _find(there, identity, memory.read(identity))
            if machine is None or machine.state is not State.RUNNING:
                problem = f"the container is {machine.state.value if machine else 'gone'}"
                break
            try:
                self.transport(machine).close()
            except HostKeyError:
                raise
            except TransportError as error:
                problem = error.message
                if remedies and time.monotonic() - begun > remedies[-1][0]:
                    remedies.pop()[1]()
                emit(Progress("workstation", 0, 0, "waiting for its SSH server"))
                time.sleep(0.05)
            else:
                return machine
        raise ProviderError(
            f"the workstation {identity.name} does not come up: {problem}",
            hint=f"docker logs {names.thing(identity)}",
            detail=container.last_words(there, identity) or None,
        )


def _refuse_to_move(saved: Memory, address: str) -> None:
    """dsenv.toml names another engine than before. What is on the old one is not forgotten silently."""
    with engine.connected(saved.address) as there:
        if _find(there, saved.identity, saved) is None:
            return
    raise ProviderError(
        f"the workstation {saved.identity.name} is on the engine {saved.address}, and dsenv.toml says {address}",
        hint="`dsenv down` destroys the old one; or set `context` in dsenv.toml back",
    )


def _refuse_to_take(identity: Identity, found: dict[str, Any]) -> None:
    """Raises ProviderError for a container that runs for another machine: ours would take its key's place."""
    labels = found["Config"]["Labels"]
    known = memory.key_file(identity).is_file() or labels.get(names.INSTALLATION) in {None, installation.here()}
    if not known and container.state_of(found) is State.RUNNING:
        raise made_elsewhere(identity, labels.get(names.MACHINE, ""))


def _refreshed(there: Engine, machine: Machine) -> Machine:
    found = _find(there, machine.identity, memory.read(machine.identity))
    if found is None:
        raise WorkstationNotReadyError(f"the workstation {machine.identity.name} is gone", hint=_again(machine))
    return found


def _find(there: Engine, identity: Identity, saved: Memory | None) -> Machine | None:
    found = container.inspect(there, names.thing(identity)) or container.inspect(there, names.replaced(identity))
    if found is not None:
        return container.machine_of(there, found, saved)
    labels = container.volume(there, identity)
    return container.half_made(there.address, labels) if labels is not None else None


def _all(there: Engine, saved: dict[str, Memory]) -> list[Machine]:
    found = []
    for identity in holdings.workstations(there):
        machine = _find(there, identity, saved.get(identity.id))
        if machine is not None:
            found.append(machine)
    return found


def _unreachable(saved: Memory, error: ProviderError) -> Machine:
    labels = names.labels(saved.identity, "container", saved.created)
    machine = container.half_made(saved.address, labels)
    return dataclasses.replace(machine, state=State.STOPPED, note=error.message)


def _own_key(identity: Identity, there: Engine, created: int, limits: Limits) -> str:
    """Our public key for the workstation, made when there is none. What it opens is written down before it is made."""
    Memory(identity, there.address, created, limits).write()
    return keys.ensure(memory.key_file(identity))


def _limits(settings: Workstation) -> Limits:
    return Limits(settings.idle_stop_minutes * 60, int(settings.max_hours * 3600))


def _fitting(there: Engine, spec: Spec) -> Size:
    """The size that is wanted. Raises ProviderError when the engine's machine is smaller."""
    size = parse(spec.settings.size).at_least(spec.needs)
    if size != Size():
        holdings.check_room(there, size)
    return size


def _others_answer() -> bool:
    """Whether a docker context other than the one in use leads to an engine."""
    for name in engine.contexts():
        try:
            with engine.connected(name):
                return True
        except ProviderError:
            continue
    return False


def _again(machine: Machine) -> str:
    name = machine.identity.name
    return "dsenv up" if name == "default" else f"dsenv up {name}"
