"""The file in which all processes of a run say what happened, one JSON line each."""

import os
import sys

TYPE_CHECKING = False  # typing would be loaded into every program
if TYPE_CHECKING:
    from typing import Any, Dict

try:
    from _json import encode_basestring_ascii as _quote
except ImportError:  # an interpreter without the accelerator
    from json.encoder import py_encode_basestring_ascii as _quote

_HIGH = 1000
_SMALL = 4096  # a limit that programs reach; large numbers cost the kernel a table as large
_ROOM = 16

# As they were before the program or we put something in front of them.
_open, _close, _write, _fstat = os.open, os.close, os.write, os.fstat


def to_json(value: "Any") -> str:
    """JSON of plain values. The json module would load `re` into every program."""
    if value is None or value is True or value is False:
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return str(_quote(value))
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, float):
        return float.__repr__(value) if value - value == 0 else str(_quote(repr(value)))
    if isinstance(value, dict):
        return "{" + ",".join(_quote(str(key)) + ":" + to_json(item) for key, item in value.items()) + "}"
    return "[" + ",".join(map(to_json, value)) + "]"


class Events:
    """The file that all processes of a run append their lines to.

    It is opened when Python starts, because a program that ran out of file descriptors is one that we want to hear
    of, and moved to a high number, so that the program's own files get the numbers they always got.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._handle, self._identity = -1, (0, 0)
        self._reopen()

    def _reopen(self) -> None:
        self._handle = high(_open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC))
        info = _fstat(self._handle)
        self._identity = (info.st_dev, info.st_ino)

    def write(self, value: "Dict[str, Any]") -> None:
        """Append one line. A program may have closed our file, and the number may now be its own file's."""
        line = (to_json(value) + "\n").encode("ascii")
        try:
            info = _fstat(self._handle)
            ours = (info.st_dev, info.st_ino) == self._identity
        except OSError:
            ours = False
        if not ours:
            self._reopen()
        _write(self._handle, line)


HELD: "set[int]" = set()  # descriptors of ours


def high(low: int) -> int:
    """Move a descriptor out of the way; returns its new number.

    Where the limit is one that programs reach, the number is above it: the program still gets as many as it ever got.
    """
    number = _moved(low)
    HELD.discard(low)
    HELD.add(number)
    return number


def _moved(low: int) -> int:
    try:
        limit = os.sysconf("SC_OPEN_MAX")
        number = _above(low, limit) if limit <= _SMALL else -1
        if number < 0:
            number = next((n for n in range(min(_HIGH, limit - 1), low, -1) if not _is_open(n)), -1)
            if number < 0:
                return low
            os.dup2(low, number, inheritable=False)
    except (OSError, ValueError):
        return low
    _close(low)
    return number


def _above(low: int, limit: int) -> int:
    """A copy whose number is not below the limit; -1 where the limit is a hard one."""
    known = "resource" in sys.modules
    import resource

    if not known:
        del sys.modules["resource"]
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    if before[1] != resource.RLIM_INFINITY and before[1] < limit + _ROOM:
        return -1
    number = next(n for n in range(limit, limit + _ROOM) if not _is_open(n))
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit + _ROOM, before[1]))
    try:
        os.dup2(low, number, inheritable=False)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    return number


def _is_open(number: int) -> bool:
    try:
        _fstat(number)
    except OSError:
        return False
    return True
