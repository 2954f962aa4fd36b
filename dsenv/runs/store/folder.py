"""A store in a folder."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from dsenv.errors import RecordError, StoreError
from dsenv.runs.store.base import Store


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"cannot read {path}: {error.strerror}", hint=f"check its permissions: ls -ld {path}"
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
        with _translated(path):
            handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
            return os.fdopen(handle, "rb")

    def size(self, key: str) -> int | None:
        path = self._path(key, stat.S_ISREG)
        if path is None:
            return None
        with _translated(path):
            return path.stat().st_size

    def children(self, prefix: str) -> Iterator[str]:
        path = self._path(prefix, stat.S_ISDIR) if prefix else self.folder
        if path is None or (not prefix and not path.is_dir()):
            return
        with _translated(path), os.scandir(path) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield entry.name + "/"
                elif entry.is_file(follow_symlinks=False):
                    yield entry.name
