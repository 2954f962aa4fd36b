"""Where the records of runs on a workstation are written, and how they come home from a store that is only there."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from dsenv.agent import protocol
from dsenv.agent import records as stream
from dsenv.agent.apply import Staging
from dsenv.agent.store.base import StoreWriteError, Writer
from dsenv.agent.store.folder import FolderWriter
from dsenv.config import paths
from dsenv.errors import DsenvError, RecordError, StoreError
from dsenv.events import Cancel, Emit, Notice, step
from dsenv.models.machine import Machine
from dsenv.runs import keys
from dsenv.runs.record import Record
from dsenv.runs.references import References
from dsenv.runs.store.folder import FolderStore
from dsenv.sync.client import AgentClient, RefusedError, as_error, refusal
from dsenv.workflows.target import Target


def store_there(target: Target, machine: Machine) -> str:
    """The store that a run there writes to: the project's own, when the workstation can reach it."""
    configured = target.project.config.runs.store
    if configured and "://" in configured:
        return configured
    return f"{machine.home}/.dsenv/runs" if not machine.shares_files else _store_here(target)


def store_at_home(target: Target, machine: Machine) -> str:
    """The store in which the record is once the run has ended and come home."""
    there = store_there(target, machine)
    return there if "://" in there else _store_here(target)


def _store_here(target: Target) -> str:
    configured = target.project.config.runs.store
    return str((target.project.root / configured).absolute()) if configured else str(paths.default_store())


def bring(client: AgentClient, target: Target, machine: Machine, run: str, *, emit: Emit, cancel: Cancel) -> None:
    """Bring the record of a run that has ended home, if it is in a store that only the workstation has.

    May be repeated: what is here already is not sent again. A failure is told and changes nothing else.
    """
    there = store_there(target, machine)
    if there == store_at_home(target, machine):
        return
    try:
        with step(emit, "record", "record") as note:
            note.note = f"{_Transfer(client, machine, there, _store_here(target), cancel).run(run):.1f} MB"
    except DsenvError as error:
        emit(Notice(f"the record was not brought home: {error.message}; next: dsenv pull --run {run}", "warning"))


class _Transfer:
    """One record on its way: contents before what refers to them, its entry in the index last."""

    def __init__(self, client: AgentClient, machine: Machine, there: str, here: str, cancel: Cancel) -> None:
        self._client, self._machine, self._there, self._cancel = client, machine, there, cancel
        self._here = here
        self._bytes = 0

    def run(self, run: str) -> float:
        """Returns how many megabytes were sent. Raises TransportError, RecordError, StoreError."""
        try:
            writer = FolderWriter(self._here)
            with tempfile.TemporaryDirectory(prefix=".dsenv-record-", dir=self._here) as name:
                self._into(Path(name), writer, run)
        except (OSError, StoreWriteError) as error:
            raise StoreError(f"cannot write {self._here}: {error}", hint="free some space, then repeat") from error
        except RefusedError as refused:
            raise as_error(refused, self._machine) from refused
        return self._bytes / 1e6

    def _into(self, folder: Path, writer: Writer, run: str) -> None:
        self._client.request("record", store=self._there, run=run)
        names = [str(name) for name in self._client.answer()["names"]]
        own = [name for name in names if name.startswith(keys.record(run))]
        entries = [name for name in names if name.startswith(f"index/{keys.day(run)}/")]
        if not own:
            raise RecordError(f"there is no record of {run} on {self._machine.identity.name}")
        self._fetch(folder, [*own, *entries])
        record = Record(FolderStore(folder), run)
        code = record.data.get("code")
        if code and code["tree"]:
            self._blobs(folder, writer, [code["tree"]])
        self._blobs(folder, writer, References().of(record))
        for key in [*own, *entries]:
            if (folder / key).is_file():
                writer.put_file(key, str(folder / key))

    def _blobs(self, folder: Path, writer: Writer, digests: Iterable[str]) -> None:
        """Have blobs both here, for good, and in `folder` as far as the record must be read."""
        wanted = [keys.blob(digest) for digest in sorted(set(digests))]
        lacking = [key for key in wanted if not writer.claim(key)]
        self._fetch(folder, lacking)
        for key in lacking:
            if (folder / key).is_file():
                writer.put_file(key, str(folder / key))
        for key in wanted:  # those that are here for good are read from there
            place = folder / key
            if not place.exists() and writer.exists(key):
                place.parent.mkdir(parents=True, exist_ok=True)
                place.hardlink_to(Path(self._here) / key)

    def _fetch(self, folder: Path, names: list[str]) -> None:
        if not names:
            return
        self._client.request("get", root=self._there, known=dict.fromkeys(names))
        staging = Staging(str(folder / ".stage"))
        try:
            reader = stream.Reader(staging)
            self._receive(reader.feed)
            for item in staging.staged:
                place = folder / _asked_for(item.header.path, names)
                place.parent.mkdir(parents=True, exist_ok=True)
                Path(item.temporary).replace(place)
        finally:
            staging.close()

    def _receive(self, feed: Callable[[bytes], None]) -> None:
        while True:
            self._cancel.check()
            kind, payload = self._client.receive()
            if kind == protocol.DATA:
                self._bytes += len(payload)
                feed(payload)
            elif kind == protocol.REPLY:
                return
            elif kind == protocol.ERROR:
                raise refusal(payload)


def _asked_for(path: str, asked: list[str]) -> str:
    """`path` when it was asked for: a workstation does not choose where its files go."""
    if path not in asked:
        raise RecordError(f"the workstation sent {path}, which nobody asked for")
    return path
