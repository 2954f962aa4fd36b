"""Bring a run's outputs back, and lose nothing on either side.

For each output there are three contents: here, there, and the one that both last agreed on. What changed on one side
only wins; when both changed, the local file stays and the other one is put beside it. Source files are never touched.
"""

from __future__ import annotations

import dataclasses
import os
import tempfile
from pathlib import Path

from dsenv.agent import records, tree
from dsenv.agent.apply import Staging
from dsenv.errors import StateError
from dsenv.events import Cancel, Emit, Progress
from dsenv.models.machine import Machine
from dsenv.sync.client import AgentClient, RefusedError, as_error, refusal
from dsenv.sync.ignore import Wanted
from dsenv.sync.manifest import Memory

CAP = 100 << 20
STEP = "pull"


@dataclasses.dataclass(frozen=True)
class Offer:
    """A file on the workstation that is not as it was pushed."""

    path: str
    kind: str
    size: int
    pushed: bool  # it was sent from here and changed over there


@dataclasses.dataclass(frozen=True)
class Pulled:
    """What came back."""

    files: list[str] = dataclasses.field(default_factory=list)
    both: dict[str, str] = dataclasses.field(default_factory=dict)  # changed on both sides: path, where the other is
    too_large: dict[str, int] = dataclasses.field(default_factory=dict)  # above the cap: path, bytes
    refused: dict[str, str] = dataclasses.field(default_factory=dict)  # path, reason
    source_changed: list[str] = dataclasses.field(default_factory=list)  # not outputs: left as they are here


class Pull:
    """One transfer of outputs from the tree at `root` over there."""

    def __init__(self, client: AgentClient, machine: Machine, local: Path, memory: Memory) -> None:
        self._client, self._machine, self._local, self._memory = client, machine, local, memory

    def run(self, root: str, wanted: Wanted, emit: Emit, cancel: Cancel, *, cap: int = CAP) -> Pulled:
        """`cap` is in bytes for each file; larger ones are only named. Raises StateError, TransportError."""
        result = Pulled()
        chosen = []
        for offer in self._offers(root):
            if offer.path not in wanted:
                if offer.pushed:
                    result.source_changed.append(offer.path)
            elif offer.size > cap:
                result.too_large[offer.path] = offer.size
            else:
                chosen.append(offer.path)
        if chosen:
            self._fetch(root, chosen, result, emit, cancel)
        return result

    def _offers(self, root: str) -> list[Offer]:
        self._client.request("outputs", root=root)
        try:
            _, rows = self._client.answer_with_json()
        except RefusedError as refused:
            raise as_error(refused, self._machine) from refused
        return [
            Offer(tree.check_path(str(path)), str(kind), int(size), bool(pushed))
            for path, kind, size, _, _, pushed in rows or []
        ]

    def _fetch(self, root: str, paths: list[str], result: Pulled, emit: Emit, cancel: Cancel) -> None:
        self._client.request("get", root=root, known={path: self._memory.pulled.get(path) for path in paths})
        try:
            with tempfile.TemporaryDirectory(prefix=".dsenv-pull-", dir=self._local) as folder:
                staging = Staging(f"{folder}/stage")
                try:
                    self._receive(staging, len(paths), emit, cancel)
                    for item in staging.staged:
                        self._place(item.header, item.entry, item.temporary, item.target, result)
                finally:
                    staging.close()
        except OSError as error:
            raise StateError(
                f"cannot write outputs to {self._local}: {error.strerror}",
                hint="free some space, then: dsenv pull",
            ) from error

    def _receive(self, staging: Staging, total: int, emit: Emit, cancel: Cancel) -> None:
        from dsenv.agent import protocol

        reader = records.Reader(staging)
        while True:
            cancel.check()
            kind, payload = self._client.receive()
            if kind == protocol.DATA:
                reader.feed(payload)
                emit(Progress(STEP, len(staging.staged), total, "files"))
            elif kind == protocol.REPLY:
                return
            elif kind == protocol.ERROR:
                refused = refusal(payload)
                raise as_error(refused, self._machine) from refused

    def _place(self, header: records.Header, entry: tree.Entry, temporary: str, target: str, result: Pulled) -> None:
        path = header.path
        here = self._local.joinpath(*path.split("/"))
        reason = _unsafe(self._local, path)
        if reason:
            result.refused[path] = reason
            return
        mine = _entry_here(here)
        agreed = self._memory.pulled.get(path) or self._pushed_hash(path)
        if mine == entry.hash:
            self._remember(path, entry)
            return
        if agreed == entry.hash:
            return  # only changed here, or deleted here on purpose
        if mine is not None and mine != agreed:
            here = _beside(here, self._machine.identity.name)
            result.both[path] = here.name
        else:
            result.files.append(path)
        self._remember(path, entry)
        here.parent.mkdir(parents=True, exist_ok=True)
        if entry.kind == tree.LINK:
            here.unlink(missing_ok=True)
            here.symlink_to(target)
        else:
            Path(temporary).replace(here)

    def _remember(self, path: str, entry: tree.Entry) -> None:
        if self._memory.pulled.get(path) != entry.hash:
            self._memory.pulled[path] = entry.hash
            self._memory.changed = True

    def _pushed_hash(self, path: str) -> str | None:
        entry = self._memory.pushed.get(path)
        return entry.hash if entry else None


def _entry_here(file: Path) -> str | None:
    """The hash of what is here; None for nothing."""
    if file.is_symlink():
        return tree.link_entry(str(file.readlink())).hash
    return tree.hash_file(str(file)) if file.is_file() else None


def _unsafe(root: Path, path: str) -> str | None:
    """Why `path` must not be written, if so: it would leave the project, or replace a folder."""
    folder = root
    for part in path.split("/")[:-1]:
        folder = folder / part
        if folder.is_symlink():
            return f"{folder.relative_to(root)} is a symbolic link"
        if folder.exists() and not folder.is_dir():
            return f"{folder.relative_to(root)} is a file here"
    return "it is a folder here" if (root / path).is_dir() and not (root / path).is_symlink() else None


def _beside(file: Path, machine: str) -> Path:
    """A free name for the other side's version."""
    for number in range(1, 1000):
        suffix = f".from-{machine}" if number == 1 else f".from-{machine}-{number}"
        other = file.with_name(f"{file.stem}{suffix}{file.suffix}")
        if not os.path.lexists(other):
            return other
    raise StateError(f"there are too many versions of {file}", hint="remove some of them")
