"""What the last snapshot of a project read, so that the next one reads only what changed since.

An entry holds for a file whose size, times and inode are as they were, and that was last changed well before it was
noted: a later change within one tick of the clock could not be told. The packs that hold the contents must still be
in the store; when one is gone, nothing here counts.
"""

from __future__ import annotations

import os
import time

from dsenv.agent import jsontext, places
from dsenv.agent.digests import sha256
from dsenv.agent.light import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any, Dict, List, Mapping, Optional

_FORMAT = 1
# Below this, reading everything costs less than keeping a file about it.
WORTHWHILE = 200
_TICK_NS = 100_000_000
_LIMIT = 64 << 20


class Entry(NamedTuple):
    """A file as it was read: the SHA-256 of its content, and the pack that has it."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    sha256: str
    pack: str


class TreeCache:
    """The entries of one project for one store. Damaged or absent ones are an empty cache."""

    def __init__(self, file: str, saved_ns: int, entries: Dict[str, Entry], sizes: Dict[str, int]) -> None:
        self._file = file
        self._saved_ns = saved_ns
        self._entries = entries
        self.sizes = sizes  # bytes of content in each pack

    @classmethod
    def load(cls, environ: Mapping[str, str], store: str, root: str) -> "TreeCache":
        """What was saved for `root` and `store`."""
        name = sha256("{}\0{}".format(store, root).encode("utf-8", "surrogateescape")).hexdigest()[:32]
        file = os.path.join(places.cache_dir(environ), "trees", name + ".json")
        try:
            if os.path.getsize(file) > _LIMIT:
                return cls(file, 0, {}, {})
            with open(file, "rb") as stream:
                value = jsontext.loads(stream.read())
            if value["format"] != _FORMAT:
                return cls(file, 0, {}, {})
            entries = {path: Entry(*fields) for path, fields in value["files"].items()}
            return cls(file, int(value["saved_ns"]), entries, dict(value["packs"]))
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return cls(file, 0, {}, {})

    def packs(self) -> List[str]:
        """The packs that entries point to."""
        return sorted(self.sizes)

    def get(self, path: str, info: os.stat_result) -> Optional[Entry]:
        """The entry of a file that has not changed since it was read."""
        entry = self._entries.get(path)
        if entry is None or max(info.st_mtime_ns, info.st_ctime_ns) > self._saved_ns - _TICK_NS:
            return None
        return entry if entry[:4] == (info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino) else None

    def save(self, entries: Dict[str, Entry], sizes: Dict[str, int], started_ns: int) -> None:
        """Keep the entries of a snapshot that began at `started_ns`. A folder that cannot be written is no trouble."""
        value: Dict[str, Any] = {"format": _FORMAT, "saved_ns": started_ns, "files": entries, "packs": sizes}
        beside = "{}.{}".format(self._file, os.getpid())
        try:
            os.makedirs(os.path.dirname(self._file), mode=0o700, exist_ok=True)
            with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
                out.write(jsontext.dumps(value))
            os.replace(beside, self._file)
        except OSError:
            if os.path.exists(beside):
                os.unlink(beside)


def now_ns() -> int:
    """The clock by which entries are judged: the one that file systems use."""
    return time.time_ns()
