"""Put a record's files on disk, where no name in the record can reach outside the folder that was given."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from dsenv.agent import schema
from dsenv.errors import RecordError, StateError
from dsenv.runs.record import Record

_CHANGED = "the record was changed; do not trust it"


def inside(name: str) -> PurePosixPath:
    """A relative path that stays below where it is put. Raises RecordError for any other."""
    path = PurePosixPath(name)
    windows = os.name == "nt" and ("\\" in name or ":" in name)
    if not path.parts or name != path.as_posix() or path.is_absolute() or ".." in path.parts or "\0" in name or windows:
        raise RecordError(f"{name!r} is not a path inside a code tree", hint=_CHANGED)
    return path


def code(record: Record, folder: Path) -> list[str]:
    """Write the recorded code tree into a new folder; returns the links that were left out.

    A link that leaves the tree is left out: what it meant there cannot be had here, and it must not lead
    anywhere else. Links are made last, so nothing is ever written through one. Raises RecordError for unsafe
    names and for content that is absent or changed, StateError when the disk refuses.
    """
    tree = record.tree()
    if tree is None:
        return []
    _check_size(tree)
    places: dict[str, list[schema.TreeFile]] = {}
    for entry in tree["files"]:
        inside(entry["path"])
        places.setdefault(entry["sha256"], []).append(entry)
    try:
        folder.mkdir(mode=0o700)
        for name in tree["folders"]:
            (folder / inside(name)).mkdir(parents=True, exist_ok=True)
        for pack in tree["packs"]:
            for digest, data in record.pack(pack):
                for entry in places.pop(digest, []):
                    if len(data) != entry["size"]:
                        raise RecordError(f"the record has another size for {entry['path']}", hint=_CHANGED)
                    _write(folder / entry["path"], data, entry["mode"])
        if places:
            lacking = next(iter(places.values()))[0]["path"]
            raise RecordError(f"the record lacks the content of {lacking}", hint=_CHANGED)
        left_out = [link.get("path", "") for link in tree["links"] if not _link(folder, link)]
    except OSError as error:
        raise StateError(
            f"cannot write {error.filename or folder}: {error.strerror}",
            hint="free some space, or set XDG_CACHE_HOME to a folder with more",
        ) from error
    return left_out


def _check_size(tree: schema.Tree) -> None:
    """A few bytes in a pack can be a full disk: the same content under many names, or zeros."""
    size = sum(max(entry["size"], 0) for entry in tree["files"])
    if size > schema.MAX_TREE_BYTES:
        raise RecordError(f"the code tree claims {size:,} bytes, more than capture keeps", hint=_CHANGED)


def verify(record: Record) -> int:
    """Check every digest that a reproduction relies on; returns the bytes read. Raises RecordError."""
    total = 0
    tree = record.tree()
    if tree is not None:
        _check_size(tree)
        held = {digest: len(data) for pack in tree["packs"] for digest, data in record.pack(pack)}
        for entry in tree["files"]:
            inside(entry["path"])
            if held.get(entry["sha256"]) != entry["size"]:
                raise RecordError(f"the record lacks the content of {entry['path']}", hint=_CHANGED)
        total += sum(held.values())
    blobs = {item["blob"]: item.get("size", 0) for item in record.inputs() if "blob" in item}
    blobs.update((item["answer"], 0) for item in record.inputs() if "answer" in item)
    lock = record.data.get("environment", {}).get("lock")
    stdin = record.data.get("stdin", {}).get("blob")
    for digest, size in blobs.items() | {(d, 0) for d in (lock, stdin) if d}:
        record.verify_blob(digest)
        total += size
    return total


def _write(path: Path, data: bytes, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags, 0o600), "wb") as out:
        out.write(data)
    path.chmod((mode & 0o755) | 0o600)


def _link(folder: Path, link: dict[str, str]) -> bool:
    name = inside(link.get("path", ""))
    target = link.get("target", "")
    resolved = os.path.normpath(name.parent / target)
    if not target or target.startswith("/") or resolved.startswith("..") or "\0" in target:
        return False
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)
    return True
