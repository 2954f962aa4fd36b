"""Ways to harm a record: bytes that are flipped, cut or doubled, and values that are replaced by hostile ones."""

from __future__ import annotations

import copy
import gzip
import hashlib
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dsenv.agent import schema

HOSTILE: tuple[Any, ...] = (
    *(None, 0, -1, 1 << 70, -(1 << 63), 0.5, 1e308, float("inf"), float("nan"), True, False, "", "x", "0" * 64),
    *("/etc/passwd", "../../x", "/", "//", "/a/../b", "~", "a\0b", "\x1b[2J\x1b]0;owned\x07", "\ud800", "é" * 300),
    *(
        "s3://evil.example.invalid/x",
        "file:///etc/passwd",
        "$(touch /tmp/owned)",
        "`id`",
        "%s%n{0}{x!r}",
        "a" * 100_000,
    ),
    *([], {}, [None], ["a"], {"a": 1}, [[[[[[]]]]]], [0] * 1000, {str(n): n for n in range(500)}),
    *("exception", "signal", "exit", "lost", "succeeded", {"name": "v"}, {"path": "../x", "size": -5}),
)


class Mutator:
    """Harms files of one record in one way, chosen by a seed; `undo` brings back what was."""

    def __init__(self, store: Path, run_id: str, seed: int) -> None:
        self.store, self.run_id = store, run_id
        self.random = random.Random(seed)
        self.before: dict[Path, bytes] = {}
        self.made: list[Path] = []
        self.said = ""

    def harm(self) -> None:
        """One to three changes."""
        files = [path for path in sorted(self.store.rglob("*")) if self._counts(path)]
        for _ in range(self.random.randint(1, 3)):
            file = self.random.choice(files)
            if not file.is_file():
                continue
            ways: list[Callable[[Path], None]] = [self._bytes, self._cut, self._double]
            if file.suffix in {".json", ".jsonl"} or file.read_bytes()[:1] == b"{":
                ways += [self._value] * 6 + [self._remove_key] * 2
            if "blobs" in file.parts:
                ways += [self._blob] * 3
            way = self.random.choice(ways)
            self.said += f"{way.__name__} {file.relative_to(self.store)}; "
            way(file)

    def _counts(self, path: Path) -> bool:
        """Whether it is a file that a reader of this run may read."""
        return path.is_file() and (self.run_id in str(path) or "blobs" in path.parts) and path.stat().st_size < 1 << 20

    def undo(self) -> None:
        for file, data in self.before.items():
            file.write_bytes(data)
        self.before.clear()
        for file in self.made:
            file.unlink()
        self.made.clear()

    def _write(self, file: Path, data: bytes) -> None:
        self.before.setdefault(file, file.read_bytes())
        file.write_bytes(data)

    def _bytes(self, file: Path) -> None:
        data = bytearray(file.read_bytes() or b"x")
        for _ in range(self.random.choice((1, 1, 4, 40))):
            data[self.random.randrange(len(data))] = self.random.randrange(256)
        self._write(file, bytes(data))

    def _cut(self, file: Path) -> None:
        data = file.read_bytes()
        self._write(file, data[: self.random.randrange(len(data) + 1)])

    def _double(self, file: Path) -> None:
        data = file.read_bytes()
        position = self.random.randrange(len(data) + 1)
        self._write(file, data[:position] + data[: self.random.randrange(len(data) + 1)] + data[position:])

    def _documents(self, file: Path) -> list[Any]:
        try:
            return [json.loads(line) for line in file.read_bytes().split(b"\n") if line]
        except ValueError:
            return []

    def _value(self, file: Path) -> None:
        self._change(file, lambda parent, key: parent.__setitem__(key, copy.deepcopy(self.random.choice(HOSTILE))))

    def _remove_key(self, file: Path) -> None:
        self._change(file, lambda parent, key: parent.__delitem__(key))

    def _change(self, file: Path, action: Callable[[Any, Any], None]) -> None:
        documents = self._documents(file)
        parents = [(parent, key) for document in documents for parent, key in _places(document)]
        if parents:
            action(*self.random.choice(parents))
            text = "\n".join(json.dumps(document) for document in documents).encode("utf-8", "surrogatepass")
            self._write(file, text)
            if "blobs" in file.parts:
                self._rename_in_records(file, text)

    def _blob(self, file: Path) -> None:
        """A blob that is another, with a digest that is right: what a hostile writer can do."""
        packed = gzip.compress(schema.PACK_HEADER.pack(self.random.randbytes(32), self.random.choice((0, 5, 1 << 62))))
        data = self.random.choice((b"", b"\0" * 5000, packed, gzip.compress(b"\0" * 5_000_000), b"[" * 5000))
        self._rename_in_records(file, data)

    def _rename_in_records(self, file: Path, data: bytes) -> None:
        digest = hashlib.sha256(data).hexdigest()
        target = file.parent.parent / digest[:2] / digest
        target.parent.mkdir(exist_ok=True)
        if not target.exists():
            target.write_bytes(data)
            self.made.append(target)
        for other in self.store.rglob("*.json*"):
            if file.name.encode() in (text := other.read_bytes()):
                self._write(other, text.replace(file.name.encode(), digest.encode()))


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every (parent, key) of a document."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    return [(value, key) for key in keys] + [place for key in keys for place in _places(value[key])]
