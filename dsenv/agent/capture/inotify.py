"""inotify(7): which files of watched folders are opened, by whomever. The standard library has no name for it."""

from __future__ import annotations

import errno
import os
import struct

from dsenv.agent.light import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Iterator

MODIFY, CLOSE_WRITE, CLOSE_NOWRITE, OPEN = 0x2, 0x8, 0x10, 0x20
MOVED_TO, CREATE = 0x80, 0x100
OVERFLOW, IGNORED, IS_FOLDER = 0x4000, 0x8000, 0x40000000
_HEADER = struct.Struct("iIII")
_NONBLOCK, _CLOEXEC = os.O_NONBLOCK if hasattr(os, "O_NONBLOCK") else 0, getattr(os, "O_CLOEXEC", 0)
_ROOM = 1 << 16


class Seen(NamedTuple):
    """One event: the number that `add` returned, what happened, and the name within a watched folder."""

    watch: int
    mask: int
    name: str


class Full(Exception):  # noqa: N818 - a limit, not an error
    """The system gives this user no more watches."""


class Notify:
    """One queue of events. Raises OSError when the system has none, ImportError when Python lacks ctypes."""

    def __init__(self) -> None:
        import ctypes

        self._libc = ctypes.CDLL(None, use_errno=True)
        self._errno = ctypes.get_errno
        try:
            self.handle: int = self._libc.inotify_init1(_NONBLOCK | _CLOEXEC)
        except AttributeError as missing:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS)) from missing
        if self.handle < 0:
            raise OSError(self._errno(), os.strerror(self._errno()))

    def add(self, path: str, mask: int) -> int:
        """Watch a file, or what lies in a folder. Raises Full, or OSError when it is not there or closed to us."""
        number: int = self._libc.inotify_add_watch(self.handle, os.fsencode(path), mask)
        if number < 0:
            code = self._errno()
            if code in (errno.ENOSPC, errno.ENOMEM):
                raise Full
            raise OSError(code, os.strerror(code), path)
        return number

    def read(self) -> Iterator[Seen]:
        """What has happened since; nothing when nothing has."""
        while True:
            try:
                data = os.read(self.handle, _ROOM)
            except BlockingIOError:
                return
            place = 0
            while place < len(data):
                watch, mask, _, length = _HEADER.unpack_from(data, place)
                place += _HEADER.size
                yield Seen(watch, mask, os.fsdecode(data[place : place + length].rstrip(b"\0")))
                place += length

    def close(self) -> None:
        os.close(self.handle)
