"""Make or wake a workstation, with the project's environment on it."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from time import monotonic

from dsenv.errors import ProviderError
from dsenv.events import Cancel, Emit, Event, Notice, StepFinished, step
from dsenv.models.machine import Machine, Needs, State
from dsenv.workflows import awake, chosen, environment, lastseen, needs, packages, sshconfig
from dsenv.workflows.target import Target


@dataclasses.dataclass(frozen=True)
class Up:
    """A workstation that is ready."""

    name: str
    provider: str
    state: str
    alias: str
    home: str
    tree: str
    environment: str | None
    was: str  # missing, stopped, crashed, running, ...
    seconds: float = 0.0
    steps: dict[str, float] = dataclasses.field(default_factory=dict)  # seconds by step; some run side by side

    @property
    def created(self) -> bool:
        return self.was == "missing"


def up(target: Target, *, like: Needs | None = None, emit: Emit, cancel: Cancel) -> Up:
    """Safe to repeat: what is there and works is left as it is. `like` goes before what was chosen.

    Raises ProviderError, EnvError, TransportError.
    """
    begun = monotonic()
    problems = target.provider.check()
    if problems:
        raise ProviderError(problems[0].message, hint=problems[0].hint)
    timed = _Timed(emit)
    wanted = needs.gathered(target, like or target.chosen.like)
    with target.locked(cancel):
        _check_provider(target)
        chosen.write(target.folder, target.chosen, target.settings.provider)
        before, title = target.find(), f"workstation {target.identity.name}"
        with _forgotten_if_nothing_came_of_it(target, before), step(timed, "workstation", title) as note:
            machine = target.provider.create(target.spec(wanted), timed)
            note.note = _said(before, machine)
        cancel.check()
        alias = sshconfig.register(machine)
        lastseen.write(target.folder, machine)
        ready = environment.known(target, machine) if before and before.state is State.RUNNING else None
        if ready is None:
            ready = _furnish(target, machine, wanted, timed, cancel)
            if before and before.state is State.STOPPED:
                _tell_why_it_was_off(target, machine, timed)
    return Up(
        name=target.identity.name,
        provider=machine.provider,
        state=machine.state.value,
        alias=alias,
        home=machine.home,
        tree=machine.tree,
        environment=ready.prefix if ready else None,
        was=before.state.value if before else "missing",
        seconds=monotonic() - begun,
        steps=timed.seconds,
    )


def _furnish(target: Target, machine: Machine, wanted: Needs, emit: Emit, cancel: Cancel) -> environment.Ready | None:
    """The environment and the system packages, side by side: neither needs the other."""
    if machine.shares_files or not wanted.packages:
        with target.provider.transport(machine) as transport:
            return environment.ensure(target, machine, transport, emit, cancel)
    with (
        target.provider.transport(machine) as one,
        target.provider.transport(machine) as other,
        ThreadPoolExecutor(1) as pool,
    ):
        installing = pool.submit(packages.ensure, target.provider, machine, wanted.packages, other, emit, cancel)
        try:
            ready = environment.ensure(target, machine, one, emit, cancel)
        except BaseException:
            other.close()  # the thread must not be waited for
            raise
        installing.result()
        return ready


@contextmanager
def _forgotten_if_nothing_came_of_it(target: Target, before: Machine | None) -> Iterator[None]:
    """A choice that cannot be had must not stand in the way of the next one."""
    try:
        yield
    except ProviderError:
        with suppress(ProviderError):
            if before is None and target.find() is None:
                chosen.forget(target.folder)
        raise


def _check_provider(target: Target) -> None:
    """A workstation does not change its provider: the one of before would be forgotten while it costs money."""
    before = chosen.made_by(target.folder)
    if before in {None, target.settings.provider}:
        return
    name = target.identity.name
    raise ProviderError(
        f"the workstation {name} was made by {before}, and {target.settings.provider} is asked for now",
        hint=f"dsenv down {name}, then repeat; or give the new one another name",
    )


def _tell_why_it_was_off(target: Target, machine: Machine, emit: Emit) -> None:
    why = awake.stopped_because(target, machine)
    if why:
        emit(Notice(f"{target.identity.name} had switched itself off: {why}"))


def plan(target: Target) -> Up:
    """What `up` would find and do; changes nothing."""
    _check_provider(target)
    machine = target.find()
    return Up(
        name=target.identity.name,
        provider=target.settings.provider,
        state="running",
        alias=machine.alias if machine else target.identity.alias,
        home=machine.home if machine else "",
        tree=machine.tree if machine else "",
        environment=None,
        was=machine.state.value if machine else "missing",
    )


class _Timed:
    """Passes events on, one at a time whichever thread they come from, and adds up what the steps took."""

    def __init__(self, emit: Emit) -> None:
        self._emit, self._lock = emit, threading.Lock()
        self.seconds: dict[str, float] = {}

    def __call__(self, event: Event) -> None:
        with self._lock:
            if isinstance(event, StepFinished):
                self.seconds[event.step] = round(self.seconds.get(event.step, 0.0) + event.seconds, 3)
            self._emit(event)


def _said(before: Machine | None, now: Machine) -> str:
    word = {None: "created", State.STOPPED: "woken", State.CRASHED: "repaired", State.RUNNING: "running"}
    return f"{word.get(before.state if before else None, 'ready')}, {now.note}"
