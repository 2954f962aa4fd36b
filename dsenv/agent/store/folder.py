"""A store in a folder: every file is written beside its place and renamed into it."""

from __future__ import annotations

import errno
import os
import stat
import time
from contextlib import contextmanager, suppress
from itertools import count

from dsenv.agent.light import TYPE_CHECKING
from dsenv.agent.store.base import CLAIM_SECONDS, Log, StoreWriteError, Writer

if TYPE_CHECKING:
    from typing import Iterator, Optional

_FLAGS = os.O_WRONLY | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
_BLOCK = 1 << 20
_numbers = count()


@contextmanager
def _translated(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreWriteError("cannot write {}: {}".format(path, error.strerror or error)) from error


class FolderWriter(Writer):
    """Folders are 0700 and files 0600, whatever the umask."""

    def __init__(self, folder: str) -> None:
        super().__init__(os.path.abspath(os.path.expanduser(folder)))
        with _translated(self.url):
            _make(self.url)

    def put(self, key: str, data: bytes) -> None:
        path = self._place(key)
        with _translated(path):
            try:
                self._put(path, data)
            except FileNotFoundError:  # a prune has just taken the folder away, which was empty
                self._put(self._place(key), data)

    def _put(self, path: str, data: bytes) -> None:
        with self._beside(path) as temporary:
            _write(temporary, data)
            os.rename(temporary, path)

    def put_file(self, key: str, path: str) -> None:
        place = self._place(key)
        with _translated(place):
            try:
                os.chmod(path, 0o600)
                os.rename(path, place)
            except OSError as error:
                if error.errno not in (errno.EXDEV, errno.EPERM, errno.EACCES, errno.EROFS):
                    raise
                with self._beside(place) as temporary:
                    _copy(path, temporary)
                    os.rename(temporary, place)

    def exists(self, key: str) -> bool:
        return os.path.isfile(os.path.join(self.url, key))

    def claim(self, key: str) -> bool:
        path = os.path.join(self.url, key)
        try:
            info = os.stat(path)
            if time.time() - info.st_mtime > CLAIM_SECONDS:
                os.utime(path)
        except OSError:
            return False
        return stat.S_ISREG(info.st_mode)

    def delete(self, key: str) -> None:
        path = os.path.join(self.url, key)
        with _translated(path), suppress(FileNotFoundError):
            os.unlink(path)

    def read(self, key: str) -> Optional[bytes]:
        path = os.path.join(self.url, key)
        try:
            with open(path, "rb") as file:
                return file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreWriteError("cannot read {}: {}".format(path, error.strerror or error)) from error

    def names(self, prefix: str) -> Iterator[str]:
        path = os.path.join(self.url, prefix)
        try:
            with os.scandir(path) as entries:
                yield from (entry.name for entry in entries if entry.is_file(follow_symlinks=False))
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreWriteError("cannot list {}: {}".format(path, error.strerror or error)) from error

    def log(self, key: str) -> Log:
        path = self._place(key)
        with _translated(path):
            return FileLog(path)

    def _place(self, key: str) -> str:
        path = os.path.join(self.url, key)
        with _translated(path):
            _make(os.path.dirname(path))
        return path

    @contextmanager
    def _beside(self, path: str) -> Iterator[str]:
        """A name in the same folder; nothing is left under it when the block fails."""
        temporary = "{}.{}-{}~".format(path, os.getpid(), next(_numbers))
        try:
            yield temporary
        except OSError:
            _forget(temporary)
            raise


class FileLog(Log):
    """Appends to one file; every write is with the system before it returns."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._handle = os.open(path, _FLAGS | os.O_APPEND, 0o600)

    def write(self, data: bytes) -> None:
        with _translated(self._path):
            _write_all(self._handle, data)

    def flush(self) -> None:
        """Nothing is kept back."""

    def close(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def _make(folder: str) -> None:
    missing = []
    while not os.path.isdir(folder):
        missing.append(folder)
        folder = os.path.dirname(folder)
    for path in reversed(missing):
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            if not os.path.isdir(path):
                raise


def _write(path: str, data: bytes) -> None:
    handle = os.open(path, _FLAGS | os.O_EXCL, 0o600)
    try:
        _write_all(handle, data)
    finally:
        os.close(handle)


def _write_all(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def _copy(source: str, target: str) -> None:
    handle = os.open(target, _FLAGS | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as out, open(source, "rb") as content:
        for block in iter(lambda: content.read(_BLOCK), b""):
            out.write(block)


def _forget(path: str) -> None:
    with suppress(OSError):
        os.unlink(path)
