"""When a file was made, which tells what the command made from what it found. Linux: statx(2)."""

from __future__ import annotations

import os
import struct
import sys

from dsenv.agent.light import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Optional

_AT_FDCWD, _NOFOLLOW, _BTIME = -100, 0x100, 0x800
_MASK, _TIME = struct.Struct("=I"), struct.Struct("=qI")


def made_since(path: str, info: os.stat_result, since_ns: Optional[int]) -> bool:
    """Whether `path` was made at `since_ns` or later. `info` is its lstat.

    Asked of the file system only for what changed since then; one that cannot say when is taken for older, because
    leaving out what the command needs is worse than keeping what it made.
    """
    if since_ns is None or info.st_ctime_ns < since_ns:
        return False
    born = birth_ns(path)
    return born is not None and born >= since_ns


def birth_ns(path: str) -> Optional[int]:
    """Nanoseconds since the epoch; None where the kernel, the C library or the file system does not know."""
    if sys.platform != "linux":
        return None
    try:
        import ctypes

        buffer = ctypes.create_string_buffer(256)
        statx = ctypes.CDLL(None).statx
        failed = statx(_AT_FDCWD, os.fsencode(path), _NOFOLLOW, _BTIME, buffer)
    except (ImportError, AttributeError, OSError):
        return None
    if failed or not _MASK.unpack_from(buffer, 0)[0] & _BTIME:
        return None
    seconds, nanoseconds = _TIME.unpack_from(buffer, 80)
    return int(seconds) * 1_000_000_000 + int(nanoseconds)
