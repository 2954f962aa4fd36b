"""Make the tree on the workstation equal to the one here."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Iterator
from pathlib import Path

from dsenv.agent import protocol, records, tree
from dsenv.errors import StateError
from dsenv.events import Cancel, Emit, Progress
from dsenv.models.machine import Machine
from dsenv.sync.client import AgentClient, RefusedError, as_error
from dsenv.sync.manifest import Local, Memory

_BLOCK = 1 << 20
_ATTEMPTS = 3
STEP = "sync"


@dataclasses.dataclass(frozen=True)
class Pushed:
    """What a sync did, and where the files are."""

    root: str
    snapshot: bool  # whether another run kept the main tree, and this is a copy of it
    sent: int
    deleted: int
    bytes: int
    displaced: list[str]  # what someone had changed or made over there, and is now at `kept`
    kept: str


class Push:
    """One sync of one tree. Use it once."""

    def __init__(self, client: AgentClient, machine: Machine, local: Local, memory: Memory) -> None:
        self._client, self._machine, self._local, self._memory = client, machine, local, memory
        self._sent = self._bytes = self._deleted = 0

    def run(self, job: str | None, emit: Emit, cancel: Cancel, *, force: bool = False) -> Pushed:
        """Send what differs. With `job`, a tree that is in use is copied for it; without, that is a StateError.

        Nothing is changed over there unless all of it arrived.
        """
        base = self._memory.pushed
        for _ in range(_ATTEMPTS):
            wanted = _without_pulled(self._local.entries, self._memory.pulled, base)
            self._send(base, wanted, job, emit, cancel, force=force)
            try:
                fields, rows = self._client.answer_with_json()
            except RefusedError as refused:
                raise as_error(refused, self._machine) from refused
            if not fields.get("mismatch"):
                return self._done(fields, wanted)
            base = tree.entries_from_json(rows or [])
        raise StateError(
            f"the files on {self._machine.alias} keep changing while they are synced", hint="dsenv ps, then repeat"
        )

    def _done(self, fields: dict[str, object], wanted: dict[str, tree.Entry]) -> Pushed:
        snapshot = bool(fields["snapshot"])
        if not snapshot and self._memory.pushed != wanted:
            self._memory.pushed = wanted
            self._memory.changed = True
        displaced = fields["displaced"]
        assert isinstance(displaced, list)
        return Pushed(
            root=str(fields["root"]),
            snapshot=snapshot,
            sent=self._sent,
            deleted=self._deleted,
            bytes=self._bytes,
            displaced=[str(path) for path in displaced],
            kept=str(fields["kept"]),
        )

    def _send(
        self,
        base: dict[str, tree.Entry],
        wanted: dict[str, tree.Entry],
        job: str | None,
        emit: Emit,
        cancel: Cancel,
        *,
        force: bool,
    ) -> None:
        self._sent = self._bytes = 0
        name = self._machine.identity.project
        before = tree.generation(base)
        self._client.request("sync", tree=name, base=before, job=job, force=force)
        changed = [path for path, entry in wanted.items() if base.get(path) != entry]
        gone = [path for path in base if path not in wanted]
        self._deleted = len(gone)
        pieces = self._pieces(sorted(changed), gone, wanted, _Meter(emit, len(changed)), cancel)
        self._client.send(records.compress(pieces))
        after = before if wanted == base else tree.generation(wanted)
        self._client.send([protocol.encode_json(protocol.END, {"generation": after})])

    def _pieces(
        self, changed: list[str], gone: list[str], wanted: dict[str, tree.Entry], meter: _Meter, cancel: Cancel
    ) -> Iterator[bytes]:
        for path in gone:
            yield records.pack(records.Header(records.DELETED, path, 0, 0, 0))
        for number, path in enumerate(changed):
            cancel.check()
            yield from self._record(path, wanted)
            meter.show(number + 1)

    def _record(self, path: str, wanted: dict[str, tree.Entry]) -> Iterator[bytes]:
        """One path as it is now, and `wanted` corrected to what was really sent."""
        entry = wanted[path]
        full = self._local.root / path
        if entry.kind == tree.FOLDER:
            yield records.pack(records.Header(tree.FOLDER, path, 0, 0, 0))
        elif entry.kind == tree.LINK:
            target = os.fsencode(full.readlink())
            wanted[path] = tree.link_entry(os.fsdecode(target))
            yield records.pack(records.Header(tree.LINK, path, 0, 0, len(target))) + target
        else:
            yield from self._file(path, full, entry, wanted)
        self._sent += 1

    def _file(self, path: str, full: Path, entry: tree.Entry, wanted: dict[str, tree.Entry]) -> Iterator[bytes]:
        try:
            source = full.open("rb")
        except OSError as error:
            raise StateError(
                f"{full} changed while it was read: {error.strerror}", hint="wait until it is written, then repeat"
            ) from error
        with source:
            status = os.fstat(source.fileno())
            yield records.pack(records.Header(tree.FILE, path, entry.mode, status.st_mtime_ns, status.st_size))
            digest = tree.new_hash()
            remaining = status.st_size
            while remaining:
                block = source.read(min(_BLOCK, remaining))
                if not block:
                    raise StateError(
                        f"{full} became shorter while it was read", hint="repeat when nothing writes to it"
                    )
                digest.update(block)
                remaining -= len(block)
                yield block
        self._bytes += status.st_size
        wanted[path] = tree.Entry(tree.FILE, entry.mode, digest.hexdigest())
        if wanted[path] != entry:
            self._memory.cache.entries.pop(path, None)  # it was written to since the scan
            self._memory.changed = True


def _without_pulled(
    entries: dict[str, tree.Entry], pulled: dict[str, str], base: dict[str, tree.Entry]
) -> dict[str, tree.Entry]:
    """All entries but those that came from the workstation and are as they came: they are there already."""
    return {path: entry for path, entry in entries.items() if path in base or pulled.get(path) != entry.hash}


class _Meter:
    """Progress, not more often than anybody can see."""

    def __init__(self, emit: Emit, total: int) -> None:
        self._emit, self._total, self._shown = emit, total, 0.0

    def show(self, done: int) -> None:
        now = time.monotonic()
        if now - self._shown > 0.1 or done == self._total:
            self._shown = now
            self._emit(Progress(STEP, done, self._total, "files"))
