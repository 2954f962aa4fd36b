"""A store in a folder."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from dsenv.agent.store import Writer, open_writer
from dsenv.errors import RecordError, StoreError
from dsenv.runs.store.base import Store, Stored


@contextmanager
def _translated(path: Path, verb: str = "read") -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"cannot {verb} {path}: {error.strerror}", hint=f"check its permissions: ls -ld {path}"
        ) from error


class FolderStore(Store):
    """Records as plain files. Symbolic links below the folder are not followed: a record must not point outside."""

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder))
        self.folder = folder

    def _path(self, key: str, kind: Callable[[int], bool]) -> Path | None:
        """The file or folder of a key; None when it is absent, of another kind, or is reached through a link."""
        path, mode = self.folder, 0
        for part in key.rstrip("/").split("/"):
            if part in {"", ".", ".."} or "\0" in part:
                raise StoreError(f"{key!r} is not a key of a store")
            path /= part
            with _translated(path):
                try:
                    mode = path.lstat().st_mode
                except (FileNotFoundError, NotADirectoryError):
                    return None
            if stat.S_ISLNK(mode):
                return None
        return path if kind(mode) else None

    def read(self, key: str, *, limit: int) -> bytes | None:
        stream = self.open(key)
        if stream is None:
            return None
        with stream, _translated(self.folder / key):
            data = stream.read(limit + 1)
        if len(data) > limit:
            raise RecordError(f"{self.folder / key} is larger than {limit:,} bytes, more than dsenv reads of it")
        return data

    def open(self, key: str) -> BinaryIO | None:
        path = self._path(key, stat.S_ISREG)
        if path is None:
            return None
        with _translated(path), suppress(FileNotFoundError):  # it has gone since
            handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
            return os.fdopen(handle, "rb")
        return None

    def size(self, key: str) -> int | None:
        path = self._path(key, stat.S_ISREG)
        if path is None:
            return None
        with _translated(path), suppress(FileNotFoundError):
            return path.stat().st_size
        return None

    def children(self, prefix: str) -> Iterator[str]:
        path = self._path(prefix, stat.S_ISDIR) if prefix else self.folder
        if path is None or (not prefix and not path.is_dir()):
            return
        with _translated(path), suppress(FileNotFoundError), os.scandir(path) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield entry.name + "/"
                elif entry.is_file(follow_symlinks=False):
                    yield entry.name

    def below(self, prefix: str, folders: Sequence[str]) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for _ in range(2):  # what went before it was reached may have come behind: the second listing has that
            there = set(self.children(prefix))
            for folder in (folder for folder in folders if folder + "/" in there):
                names = (name for name in self.children(f"{prefix}{folder}/") if not name.endswith("/"))
                found.setdefault(folder, set()).update(names)
        return {folder: names for folder, names in found.items() if names}

    def everything(self, prefix: str) -> Iterator[Stored]:
        top = self._path(prefix, stat.S_ISDIR)
        pending = [] if top is None else [top]
        while pending:
            folder = pending.pop()
            with _translated(folder), suppress(FileNotFoundError), os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(Path(entry.path))
                        continue
                    with suppress(FileNotFoundError):  # it went while we looked
                        info = entry.stat(follow_symlinks=False)
                        yield Stored(Path(entry.path).relative_to(self.folder).as_posix(), info.st_size, info.st_mtime)

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            path = self._path(key, stat.S_ISREG)
            if path is not None:
                with _translated(path, "delete"):
                    path.unlink(missing_ok=True)
                self._tidy(path.parent)

    def _tidy(self, folder: Path) -> None:
        """Remove folders that became empty; a writer makes them again. Those of blobs are few, and stay."""
        while folder != self.folder and folder.relative_to(self.folder).parts[0] != "blobs":
            try:
                folder.rmdir()
            except OSError:
                return
            folder = folder.parent

    def writer(self) -> Writer:
        return open_writer(self.url, os.environ)

    def delete_old(self, keys: Iterable[str], before: float) -> int:
        return sum(self._delete_old(path, before) for key in keys if (path := self._path(key, stat.S_ISREG)))

    def _delete_old(self, path: Path, before: float) -> bool:
        """Put it aside first: who claimed it before that is seen by its time, who comes after it does not find it."""
        aside = path.with_name(f"{path.name}.{os.getpid()}~")
        with _translated(path, "delete"):
            try:
                path.rename(aside)
            except FileNotFoundError:
                return False
            if aside.stat().st_mtime < before:
                aside.unlink()
                return True
            aside.rename(path)
            return False
