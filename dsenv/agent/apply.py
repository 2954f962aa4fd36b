"""Change a tree by a batch: staged whole beside it, then renamed into place.

A cut connection leaves the old tree, because nothing is touched before the batch is complete. What was made or
changed at a path by someone else is moved aside, never lost. Nothing is written through a symbolic link.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Set

from dsenv.agent import records, tree

CASE_CLASH = "the file system here takes {} and {} for the same name"


class ApplyError(Exception):
    """The batch cannot be applied; nothing was changed."""


class Staged(NamedTuple):
    """One record, its content already on the disk."""

    header: records.Header
    entry: tree.Entry
    temporary: str  # where the content waits; empty for links and folders
    target: str  # of a link


class Staging:
    """Collects a stream of records in `folder`, which is on the file system of the tree. A `records.Sink`."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.staged: List[Staged] = []
        self.deleted: Set[str] = set()
        self._header: Optional[records.Header] = None
        self._file: Any = None
        self._digest: Any = None
        self._target = bytearray()
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder, 0o700)

    def start(self, header: records.Header) -> None:
        self._header = header
        self._digest = tree.new_hash()
        self._target.clear()
        if header.kind == tree.FILE:
            name = os.path.join(self.folder, str(len(self.staged)))
            self._file = open(name, "wb", buffering=0)  # noqa: SIM115 - closed by `finish` or `close`

    def write(self, data: bytes) -> None:
        if self._file is None:
            self._target += data
            return
        self._digest.update(data)
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]

    def finish(self) -> None:
        header = self._header
        assert header is not None
        if header.kind == records.DELETED:
            self.deleted.add(header.path)
        elif header.kind == tree.FOLDER:
            self.staged.append(Staged(header, tree.Entry(tree.FOLDER, 0, ""), "", ""))
        elif header.kind == tree.LINK:
            target = os.fsdecode(bytes(self._target))
            self.staged.append(Staged(header, tree.link_entry(target), "", target))
        else:
            name = self._file.name
            self._file.close()
            self._file = None
            os.utime(name, ns=(header.mtime_ns, header.mtime_ns))
            os.chmod(name, header.mode)
            self.staged.append(Staged(header, tree.Entry(tree.FILE, header.mode, self._digest.hexdigest()), name, ""))

    def close(self) -> None:
        """Remove what was not moved into the tree."""
        if self._file is not None:
            self._file.close()
            self._file = None
        shutil.rmtree(self.folder, ignore_errors=True)


class Tree:
    """A tree that this agent keeps equal to the client's, and what it knows of it."""

    def __init__(self, root: str, kept: str, entries: Dict[str, tree.Entry], stats: Dict[str, tree.Stat]) -> None:
        self.root = root
        self.kept = kept  # where displaced content goes
        self.entries = entries  # what was pushed
        self.stats = stats  # of files as they were left here
        self.displaced: List[str] = []
        self._safe: Set[str] = {""}

    def changed(self) -> List[str]:
        """Pushed paths whose content is no longer what was pushed."""
        return [path for path in self.entries if not self._intact(path)]

    def is_as_pushed(self, found: tree.Found) -> bool:
        """Whether what a scan found is what was pushed to its path."""
        entry = self.entries.get(found.path)
        if entry is None:
            return False
        if entry.kind == tree.FILE and entry.mode == found.mode and self.stats.get(found.path) == found.stat:
            return True
        return self._intact(found.path)

    def _intact(self, path: str) -> bool:
        entry = self.entries[path]
        full = self._full(path)
        try:
            status = os.lstat(full)
        except OSError:
            return False
        if entry.kind == tree.FOLDER:
            return stat.S_ISDIR(status.st_mode)
        if entry.kind == tree.LINK:
            return stat.S_ISLNK(status.st_mode) and tree.link_entry(os.readlink(full)) == entry
        if not stat.S_ISREG(status.st_mode) or status.st_mode & 0o777 != entry.mode:
            return False
        if self.stats.get(path) == tree.stat_of(status):
            return True
        if tree.hash_file(full) != entry.hash:
            return False
        self.stats[path] = tree.stat_of(status)
        return True

    def apply(self, staging: Staging) -> None:
        """Make the batch's changes. Raises ApplyError before the first of them, OSError when the disk fails."""
        self._check(staging)
        self._safe = {""}
        for path in sorted(staging.deleted, key=len, reverse=True):
            self._delete(path)
        for item in staging.staged:
            self._place(item)

    def _check(self, staging: Staging) -> None:
        coming = {item.header.path for item in staging.staged}
        for item in staging.staged:
            path = item.header.path
            if item.entry.kind != tree.FOLDER:
                self._check_not_folder(path, staging.deleted)
            for parent in _parents(path):
                if parent in coming and self._kind_coming(parent, staging) != tree.FOLDER:
                    raise ApplyError("{} is both a file and a folder".format(parent))
        clashes = list(tree.case_clashes((set(self.entries) - staging.deleted) | coming))
        if clashes and _ignores_case(staging.folder):
            raise ApplyError(CASE_CLASH.format(*clashes[0]))

    def _kind_coming(self, path: str, staging: Staging) -> str:
        return next(item.entry.kind for item in staging.staged if item.header.path == path)

    def _check_not_folder(self, path: str, deleted: Set[str]) -> None:
        """A folder in the way of a file is refused when it holds anything that is not deleted by the batch."""
        full = self._full(path)
        if not os.path.isdir(full) or os.path.islink(full):
            return
        for folder, _, names in os.walk(full):
            for name in names:
                inside = os.path.relpath(os.path.join(folder, name), self.root).replace(os.sep, "/")
                if inside not in deleted:
                    raise ApplyError("{} is a folder here, with {} in it that was made here".format(path, inside))

    def _delete(self, path: str) -> None:
        entry = self.entries.pop(path, None)
        self.stats.pop(path, None)
        full = self._full(path)
        if entry is None or not self._parents_are_folders(path):
            return
        try:
            if entry.kind == tree.FOLDER:
                os.rmdir(full)
            else:
                os.unlink(full)
        except OSError as error:
            if error.errno not in (
                errno.ENOENT,
                errno.ENOTEMPTY,
                errno.ENOTDIR,
                errno.EISDIR,
                errno.EPERM,
                errno.EEXIST,
            ):
                raise
        self._prune(path)

    def _prune(self, path: str) -> None:
        """Folders that only held what was deleted go with it."""
        for parent in reversed(_parents(path)):
            if parent in self.entries:
                return
            try:
                os.rmdir(self._full(parent))
            except OSError:
                return
            self._safe.discard(parent)

    def _place(self, item: Staged) -> None:
        path = item.header.path
        full = self._full(path)
        self._make_parents(path)
        if item.entry.kind == tree.FOLDER:
            self._clear_for_folder(path)
            os.makedirs(full, exist_ok=True)
        else:
            self._displace(path, item.entry)
            if os.path.isdir(full) and not os.path.islink(full):
                _remove_empty(full)
            if item.entry.kind == tree.LINK:
                temporary = full + ".dsenv~"
                _unlink(temporary)
                os.symlink(item.target, temporary)
                os.replace(temporary, full)
            else:
                os.replace(item.temporary, full)
                self.stats[path] = tree.stat_of(os.lstat(full))
        self.entries[path] = item.entry

    def _displace(self, path: str, entry: tree.Entry) -> None:
        """Move aside what someone else put at `path`, unless it is what is coming."""
        full = self._full(path)
        try:
            status = os.lstat(full)
        except OSError:
            return
        if not stat.S_ISREG(status.st_mode) or (path in self.entries and self._intact(path)):
            return
        digest = tree.hash_file(full)
        if digest in (entry.hash, self.entries[path].hash if path in self.entries else None):
            return
        place = os.path.join(self.kept, *path.split("/"))
        os.makedirs(os.path.dirname(place), 0o700, exist_ok=True)
        os.replace(full, place)
        self.displaced.append(path)

    def _clear_for_folder(self, path: str) -> None:
        full = self._full(path)
        if os.path.lexists(full) and (os.path.islink(full) or not os.path.isdir(full)):
            self._displace(path, tree.Entry(tree.FOLDER, 0, ""))
            _unlink(full)

    def _make_parents(self, path: str) -> None:
        for parent in _parents(path):
            if parent in self._safe:
                continue
            full = self._full(parent)
            if not os.path.isdir(full) or os.path.islink(full):
                self._clear_for_folder(parent)
                self.entries.pop(parent, None)
                os.mkdir(full, 0o755)
            self._safe.add(parent)

    def _parents_are_folders(self, path: str) -> bool:
        return not any(os.path.islink(self._full(parent)) for parent in _parents(path))

    def _full(self, path: str) -> str:
        return os.path.join(self.root, *path.split("/"))


def copy_tree(source: str, destination: str, skip: Iterable[str] = ()) -> None:
    """A second copy of a tree, for a run beside another one; shares blocks where the file system can."""
    skipped = set(skip)
    os.makedirs(destination, 0o700, exist_ok=True)
    shutil.copytree(
        source,
        destination,
        symlinks=True,
        ignore=lambda folder, names: [name for name in names if name in skipped],
        copy_function=_clone,
        dirs_exist_ok=True,
    )


def _clone(source: str, destination: str) -> str:
    if not stat.S_ISREG(os.lstat(source).st_mode):
        return destination  # sockets and pipes belong to the run that made them
    import fcntl

    ficlone = 0x40049409
    with open(source, "rb") as old, open(destination, "wb") as new:
        try:
            fcntl.ioctl(new.fileno(), ficlone, old.fileno())
        except OSError:
            shutil.copyfileobj(old, new, 1 << 20)
    shutil.copystat(source, destination)
    return destination


def _parents(path: str) -> List[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]


def _unlink(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def _remove_empty(folder: str) -> None:
    """Remove a folder that holds nothing but folders: `_check` saw that no file is in it."""
    for inner, _, _ in os.walk(folder, topdown=False):
        os.rmdir(inner)


def _ignores_case(folder: str) -> bool:
    probe = os.path.join(folder, "case-probe")
    with open(probe, "wb"):
        pass
    try:
        return os.path.exists(os.path.join(folder, "CASE-PROBE"))
    finally:
        os.unlink(probe)
