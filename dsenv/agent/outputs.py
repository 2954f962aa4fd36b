"""What a job left: what of its tree was not pushed there, its record in the store, and contents that are asked for."""

from __future__ import annotations

import os
from typing import Any, Dict, Iterator, List, Optional

from dsenv.agent import jobs, records, runid, tree
from dsenv.agent.apply import Tree

_BLOCK = 1 << 20
_SKIPPED = {".git", "__pycache__", ".venv", "node_modules", ".ipynb_checkpoints", ".mypy_cache", ".pytest_cache"}


def listing(pushed: Tree) -> List[List[Any]]:
    """Rows of path, kind, size, mtime in ns, mode, whether it was pushed: all files and links that differ from it."""
    kept = tree.scan(pushed.root, lambda path, is_folder: not (is_folder and path.rpartition("/")[2] in _SKIPPED))
    return [
        [item.path, item.kind, item.stat.size, item.stat.mtime_ns, item.mode, item.path in pushed.entries]
        for item in kept.found
        if item.kind != tree.FOLDER and not pushed.is_as_pushed(item)
    ]


def record_keys(store: str, run: str) -> List[str]:
    """The keys of the files of a run's record in a store that is a folder, its entry in the index among them."""
    day = runid.day(jobs.check_id(run))
    found = []
    for folder, wanted in (("runs/{}/{}".format(day, run), ""), ("index/" + day, run + ".json")):
        for place, _, names in os.walk(os.path.join(store, folder)):
            below = os.path.relpath(place, store).replace(os.sep, "/")
            found += [below + "/" + name for name in names if wanted in ("", name) and not name.endswith("~")]
    return sorted(found)


def contents(root: str, known: Dict[str, Optional[str]], missing: List[str]) -> Iterator[bytes]:
    """The records of the paths in `known`, in pieces, but for those whose hash is the known one.

    What is not there (any more) is added to `missing`.
    """
    for path, digest in known.items():
        full = os.path.join(root, *tree.check_path(path).split("/"))
        if os.path.islink(full):
            target = os.fsencode(os.readlink(full))
            yield records.pack(records.Header(tree.LINK, path, 0, 0, len(target))) + target
            continue
        try:
            source = os.open(full, os.O_RDONLY | os.O_NOFOLLOW)
        except OSError:
            missing.append(path)
            continue
        try:
            if not digest or tree.hash_file(full) != digest:
                yield from _file(source, path)
        finally:
            os.close(source)


def _file(descriptor: int, path: str) -> Iterator[bytes]:
    """Exactly as many bytes as the header says, whatever happens to the file meanwhile."""
    status = os.fstat(descriptor)
    yield records.pack(records.Header(tree.FILE, path, status.st_mode & 0o777, status.st_mtime_ns, status.st_size))
    remaining = status.st_size
    while remaining:
        data = os.read(descriptor, min(_BLOCK, remaining)) or b"\0" * min(_BLOCK, remaining)
        remaining -= len(data)
        yield data
