"""Copies of inputs that are made from outside the command, within a cap."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from time import time_ns

from dsenv.agent.layout import COPIED_LATE
from dsenv.agent.light import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Optional

_BLOCK = 1 << 20


class Room:
    """Where copies go: a folder, a cap for each file and for all of them. `opened` hears of each file it opens."""

    def __init__(self, folder: str, cap: int, total: int, opened: Callable[[str], None]) -> None:
        self._folder, self._cap, self._left = folder, cap, total
        self._opened = opened
        self._number = 0

    def take(self, path: str, began_ns: int) -> Optional[Dict[str, Any]]:
        """An event for the file at `path`, with a copy where there is room. None for what is no regular file.

        `began_ns`: what was changed later may not be what was read.
        """
        try:
            # A pipe is never opened: whoever writes to it would take us for its reader.
            if not stat.S_ISREG(os.stat(path).st_mode):
                return None
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return None
        self._opened(path)
        try:
            before = os.fstat(handle)
            if not stat.S_ISREG(before.st_mode):
                return None
            item = self._describe(path, before)
            if 0 < before.st_size <= min(self._cap, self._left):
                self._copy(handle, item)
                if item.get("copy") and before.st_mtime_ns != os.fstat(handle).st_mtime_ns:
                    item["note"] = COPIED_LATE
            elif before.st_size:
                over = before.st_size > self._cap
                item["note"] = "larger than the cap" if over else "the inputs together are larger than the cap"
            if before.st_mtime_ns >= began_ns:
                item.setdefault("note", COPIED_LATE)
            return item
        finally:
            os.close(handle)

    def _describe(self, path: str, info: os.stat_result) -> Dict[str, Any]:
        return {
            "e": "input",
            "path": path,
            "size": info.st_size,
            "mode": stat.S_IMODE(info.st_mode) & 0o777,
            "mtime_ns": info.st_mtime_ns,
            "when": time_ns() // 1000,
        }

    def _copy(self, source: int, item: Dict[str, Any]) -> None:
        self._number += 1
        name = "watch-{}".format(self._number)
        target = os.path.join(self._folder, name)
        try:
            copy = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(copy, "wb") as out:
                while True:
                    data = os.read(source, _BLOCK)
                    if not data:
                        break
                    out.write(data)
        except OSError as error:
            item["note"] = "could not be copied: {}".format(error.strerror)
            with suppress(OSError):
                os.unlink(target)
            return
        self._left -= item["size"]
        item["copy"] = name
