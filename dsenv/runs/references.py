"""Which blobs a record refers to: what refers to nothing may be collected, what refers to anything must not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dsenv.agent import schema
from dsenv.runs.record import Record


class References:
    """Reads records one by one. Code trees are shared by many runs, so what each refers to is remembered."""

    def __init__(self) -> None:
        self._packs: dict[str, tuple[str, ...]] = {}

    def of(self, record: Record) -> set[str]:
        """The digests that a record refers to. Raises RecordError when it cannot be read: then nobody knows."""
        data = record.data
        found = {
            digest for digest in (data.get("environment", {}).get("lock"), data.get("stdin", {}).get("blob")) if digest
        }
        code = data.get("code")
        tree = code["tree"] if code else None
        if tree:
            found.add(tree)
            found.update(self._packs_of(record, tree))
        for item in record.inputs():
            found.update(digest for digest in (item.get("blob"), item.get("answer")) if digest)
        found.update(_blobs(record.frames()["failures"]))
        return found

    def _packs_of(self, record: Record, tree: str) -> tuple[str, ...]:
        if tree not in self._packs:
            read = record.tree()
            self._packs[tree] = tuple(read["packs"]) if read else ()
        return self._packs[tree]


def _blobs(failures: Iterable[schema.Failure]) -> Iterator[str]:
    """Arrays that were kept of local variables."""
    for failure in failures:
        for error in _errors(failure.get("exceptions", [])):
            for frame in error.get("frames", []):
                yield from _of_locals(frame.get("locals", []))


def _errors(errors: Iterable[schema.ExceptionDetail]) -> Iterator[schema.ExceptionDetail]:
    for error in errors:
        yield error
        yield from _errors(error.get("members", []))


def _of_locals(variables: Iterable[schema.Local]) -> Iterator[str]:
    for local in variables:
        if blob := local.get("blob"):
            yield blob
        yield from _of_locals(local.get("items", []))
