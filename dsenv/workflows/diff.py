"""Compare two places: `local`, `lock`, a workstation's name, or `run:ID`."""

from __future__ import annotations

import dataclasses
from typing import Any

from dsenv.config import load
from dsenv.config.load import Loaded
from dsenv.envs import diff as comparison
from dsenv.envs import fingerprint, lockfile
from dsenv.errors import UsageError, WorkstationNotReadyError
from dsenv.events import Cancel, Emit, step


@dataclasses.dataclass(frozen=True)
class _Places:
    """What is needed to look at a place by its name."""

    project: Loaded | None
    store: str | None
    emit: Emit
    cancel: Cancel

    def look(self, name: str) -> dict[str, Any]:
        """The fingerprint of the place called `name`."""
        with step(self.emit, "look", f"look at {name}") as note:
            if name == "local":
                return self._local(note)
            if name == "lock":
                return fingerprint.of_lock(lockfile.read(self._needed("lock").lock_file))
            kind, colon, rest = name.partition(":")
            if kind == "run" and rest:
                return self._run(rest)
            if colon:
                raise UsageError(f"dsenv cannot look at {name}", hint="use local, lock, a workstation's name or run:ID")
            return self._workstation(name)

    def _local(self, note: Any) -> dict[str, Any]:
        python = fingerprint.active_python(self.project.root if self.project else None)
        note.note = python
        return fingerprint.of_python(python, apt=self._apt())

    def _run(self, run: str) -> dict[str, Any]:
        from dsenv.runs import index
        from dsenv.runs.record import Record
        from dsenv.runs.store import open_store
        from dsenv.workflows.runs import store_url

        store = open_store(store_url(self.store))
        return fingerprint.of_run(Record(store, index.find(store, run)).data)

    def _workstation(self, name: str) -> dict[str, Any]:
        from dsenv.envs import install
        from dsenv.workflows.target import open_target

        project = self._needed(name)
        target = open_target(name, project.root)
        provider, machine = target.provider, target.find()
        if machine is None:
            raise WorkstationNotReadyError(f"there is no workstation {name} yet", hint=f"dsenv up {name}")
        locked = lockfile.read(project.lock_file).id if project.lock_file.is_file() else None
        envs_dir = install.root_here() if machine.shares_files else None
        with provider.transport(machine) as transport:
            return fingerprint.on(transport, machine.python, environment=locked, envs_dir=envs_dir, apt=self._apt())

    def _apt(self) -> list[str]:
        return list(self.project.config.environment.apt) if self.project else []

    def _needed(self, name: str) -> Loaded:
        if self.project is None:
            return load.load()  # raises, saying that there is no project
        return self.project


def diff(a: str, b: str, *, store: str | None = None, emit: Emit, cancel: Cancel) -> comparison.Report:
    """Compare two places. Raises UsageError for an unknown one, EnvError for one that cannot be looked at."""
    places = _Places(load.load_if_any(), store, emit, cancel)
    first = places.look(a)
    cancel.check()
    return comparison.compare(first, places.look(b), names=(a, b))
