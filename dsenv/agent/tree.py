"""A tree of files as values: entries, their sum, a scan, and a cache of hashes by stat.

Paths are relative, with `/`, and kept with Python's surrogateescape when they are not UTF-8.
Imported by the client on every system: nothing POSIX-only at module level.
"""

from __future__ import annotations

import hashlib
import os
import stat as stat_module
from typing import Any, Callable, Dict, Iterable, Iterator, List, NamedTuple, Optional, Tuple

FILE, LINK, FOLDER = "f", "l", "d"
_MASK = (1 << 128) - 1
_DIGEST = 16

# File systems stamp files with a clock that ticks this coarsely; a file as young as its hash may change unseen.
_RACY_NS = 20_000_000


class UnsafePathError(Exception):
    """A path that would leave its tree, or that cannot be a file's name."""


class Entry(NamedTuple):
    """What a path holds. Two trees are equal when their entries are."""

    kind: str
    mode: int  # permission bits; 0 for links and folders
    hash: str  # hex of 128 bits over the content, or over a link's target


class Stat(NamedTuple):
    """What tells that a file's content is still the one that was hashed."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


class Found(NamedTuple):
    """One path of a scan."""

    path: str
    kind: str
    mode: int
    stat: Stat


class Scan(NamedTuple):
    """All paths that a scan kept, and those that cannot be synced, each with the reason."""

    found: List[Found]
    refused: List[Tuple[str, str]]


def check_path(path: str) -> str:
    """`path` itself when it stays inside a tree. Raises UnsafePathError."""
    if not path or path.startswith("/") or "\0" in path:
        raise UnsafePathError(repr(path))
    if any(part in {"", ".", ".."} for part in path.split("/")):
        raise UnsafePathError(repr(path))
    if os.sep != "/" and (os.sep in path or ":" in path):
        raise UnsafePathError(repr(path))
    return path


def new_hash() -> Any:
    """The hash of contents: feed it with `update`, read it with `hexdigest`."""
    return hashlib.blake2b(digest_size=_DIGEST)


def hash_bytes(data: bytes) -> str:
    """The hash of a content that is in memory."""
    return hashlib.blake2b(data, digest_size=_DIGEST).hexdigest()


def hash_file(path: str) -> str:
    """The hash of a file's content."""
    digest = new_hash()
    with open(path, "rb") as source:
        while True:
            block = source.read(1 << 20)
            if not block:
                return str(digest.hexdigest())
            digest.update(block)


def link_entry(target: str) -> Entry:
    """The entry of a symbolic link."""
    return Entry(LINK, 0, hash_bytes(os.fsencode(target)))


def weight(path: str, entry: Entry) -> int:
    """What one entry adds to its tree's generation."""
    text = b"\0".join([entry.kind.encode(), b"%o" % entry.mode, entry.hash.encode(), os.fsencode(path)])
    return int.from_bytes(hashlib.blake2b(text, digest_size=_DIGEST).digest(), "big")


def generation(entries: Dict[str, Entry]) -> str:
    """A tree's identity: the sum of its entries' weights, so that order never matters."""
    return "{:032x}".format(sum(weight(path, entry) for path, entry in entries.items()) & _MASK)


def stat_of(status: os.stat_result) -> Stat:
    """The part of a stat result that `StatCache` compares."""
    return Stat(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


class StatCache:
    """Hashes that need not be computed again while a file's stat says it did not change."""

    def __init__(self, entries: Optional[Dict[str, Tuple[Stat, str]]] = None, taken_ns: int = 0) -> None:
        self.entries = entries if entries is not None else {}
        self.taken_ns = taken_ns  # when the hashes were computed: what changed since then is not to be trusted

    def lookup(self, path: str, stat: Stat) -> Optional[str]:
        """The hash, or None when the file must be read."""
        known = self.entries.get(path)
        if known is None or known[0] != stat:
            return None
        if max(stat.mtime_ns, stat.ctime_ns) >= self.taken_ns - _RACY_NS:
            return None
        return known[1]

    def to_json(self) -> Dict[str, Any]:
        return {
            "taken": self.taken_ns,
            "files": {path: [*stat, digest] for path, (stat, digest) in self.entries.items()},
        }

    @classmethod
    def from_json(cls, value: Dict[str, Any]) -> "StatCache":
        """The inverse of `to_json`. Raises KeyError, TypeError or ValueError for anything else."""
        files = {
            path: (Stat(int(row[0]), int(row[1]), int(row[2]), int(row[3])), str(row[4]))
            for path, row in value["files"].items()
        }
        return cls(files, int(value["taken"]))


Keep = Callable[[str, bool], bool]


def scan(root: str, keep: Keep) -> Scan:
    """Everything below `root` for which `keep(path, is_folder)` says yes; folders only when they are empty.

    Symbolic links are not followed. Raises OSError when `root` itself cannot be read.
    """
    found: List[Found] = []
    refused: List[Tuple[str, str]] = []
    folders = [""]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(os.path.join(root, folder) if folder else root) as items:
                listing = list(items)
        except OSError as error:
            if not folder:
                raise
            refused.append((folder, error.strerror or "cannot be read"))
            continue
        prefix = folder + "/" if folder else ""
        for item in listing:
            path = prefix + item.name
            try:
                if item.is_dir(follow_symlinks=False):
                    if keep(path, True):
                        folders.append(path)
                elif keep(path, False):
                    _visit(path, item, found, refused)
            except FileNotFoundError:
                continue  # deleted between the listing and the look
        if folder and not listing:
            found.append(Found(folder, FOLDER, 0, Stat(0, 0, 0, 0)))
    return Scan(found, refused)


def _visit(path: str, item: "os.DirEntry[str]", found: List[Found], refused: List[Tuple[str, str]]) -> None:
    status = item.stat(follow_symlinks=False)
    if stat_module.S_ISLNK(status.st_mode):
        found.append(Found(path, LINK, 0, stat_of(status)))
    elif stat_module.S_ISREG(status.st_mode):
        found.append(Found(path, FILE, status.st_mode & 0o777, stat_of(status)))
    else:
        refused.append((path, "not a file, folder or link"))


def case_clashes(paths: Iterable[str]) -> Iterator[Tuple[str, str]]:
    """Pairs of paths that are one path where upper and lower case (or Unicode forms) are the same."""
    import unicodedata

    seen: Dict[str, str] = {}
    for path in paths:
        folded = unicodedata.normalize("NFC", path).casefold()
        if folded in seen:
            yield seen[folded], path
        seen[folded] = path


def entries_to_json(entries: Dict[str, Entry]) -> List[List[Any]]:
    return [[path, entry.kind, entry.mode, entry.hash] for path, entry in entries.items()]


def entries_from_json(rows: List[List[Any]]) -> Dict[str, Entry]:
    """The inverse of `entries_to_json`; every path is checked. Raises UnsafePathError, or ValueError for nonsense."""
    return {check_path(str(path)): Entry(str(kind), int(mode), str(digest)) for path, kind, mode, digest in rows}
