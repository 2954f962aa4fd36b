"""What the client remembers of a tree and of its twin: hashes by stat, what was pushed, what was pulled."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path

from dsenv.agent import tree
from dsenv.errors import StateError
from dsenv.state import store
from dsenv.sync.ignore import Rules

_VERSION = 1


@dataclasses.dataclass
class Memory:
    """One workstation's sync state. Losing it costs time, never correctness."""

    cache: tree.StatCache = dataclasses.field(default_factory=tree.StatCache)
    pushed: dict[str, tree.Entry] = dataclasses.field(default_factory=dict)  # what the workstation has from us
    pulled: dict[str, str] = dataclasses.field(default_factory=dict)  # hashes of outputs that came from there
    changed: bool = False  # since it was read

    @classmethod
    def read(cls, file: Path) -> Memory:
        """What was remembered; nothing when the file is missing, damaged or of another version."""
        try:
            value = json.loads(file.read_bytes())
            if value["version"] != _VERSION:
                return cls()
            return cls(
                tree.StatCache.from_json(value["cache"]),
                tree.entries_from_json(value["pushed"]),
                {tree.check_path(str(path)): str(digest) for path, digest in value["pulled"].items()},
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError, tree.UnsafePathError):
            return cls()

    def write(self, file: Path) -> None:
        """Keep what is new. Raises StateError when it cannot be written."""
        if not self.changed:
            return
        try:
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise StateError(f"cannot make {file.parent}: {error.strerror}") from error
        value = {
            "version": _VERSION,
            "cache": self.cache.to_json(),
            "pushed": tree.entries_to_json(self.pushed),
            "pulled": self.pulled,
        }
        store.write_bytes(file, json.dumps(value).encode("ascii"))


@dataclasses.dataclass(frozen=True)
class Local:
    """The tree here, as it is now."""

    root: Path
    entries: dict[str, tree.Entry]
    refused: list[tuple[str, str]]  # what cannot be synced, with the reason


def survey(root: Path, rules: Rules, memory: Memory) -> Local:
    """Scan the tree; read only files whose stat says that they changed. Updates `memory.cache`."""
    started = time.time_ns()
    found = tree.scan(str(root), rules.keeps)
    refused = list(found.refused)
    entries: dict[str, tree.Entry] = {}
    fresh: dict[str, tuple[tree.Stat, str]] = {}
    read = 0
    for item in found.found:
        full = f"{root}/{item.path}"  # a Path each would cost as much as the scan itself
        try:
            if item.kind == tree.FOLDER:
                entries[item.path] = tree.Entry(tree.FOLDER, 0, "")
            elif item.kind == tree.LINK:
                entries[item.path] = tree.link_entry(str(Path(full).readlink()))
            else:
                digest = memory.cache.lookup(item.path, item.stat)
                if digest is None:
                    digest = tree.hash_file(full)
                    read += 1
                entries[item.path] = tree.Entry(tree.FILE, item.mode, digest)
                fresh[item.path] = (item.stat, digest)
        except FileNotFoundError:
            continue
        except OSError as error:
            refused.append((item.path, error.strerror or "cannot be read"))
    if read or len(fresh) != len(memory.cache.entries):
        memory.cache = tree.StatCache(fresh, started)
        memory.changed = True
    return Local(root, entries, refused)
