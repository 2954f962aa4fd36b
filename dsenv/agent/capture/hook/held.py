"""What compiled code has open or mapped when the program fails: files that nobody was seen to open."""

import os

TYPE_CHECKING = False  # typing would be loaded into every program
if TYPE_CHECKING:
    from typing import Iterator, List

    from .files import Inputs

_MOST = 200
_PATH = 73  # where a line of /proc/PID/maps has the file's name
_CODE = (".so", ".pyc", ".mo", ".cache", " (deleted)")
_WRITES_ONLY = 1

_open, _read, _close, _listdir = os.open, os.read, os.close, os.listdir


def note(inputs: "Inputs") -> None:
    """Note them. Never raises."""
    try:
        found = [path for path in dict.fromkeys([*_descriptors(), *_mapped()]) if path[:1] == "/"]
        for path in found[:_MOST]:
            if not path.endswith(_CODE) and ".so." not in path:
                inputs.native(path, "native")
    except Exception:  # noqa: BLE001 - there may be no descriptor, memory or /proc left
        return


def _descriptors() -> "Iterator[str]":
    for number in _listdir("/proc/self/fd"):
        if number in ("0", "1", "2"):
            continue  # what comes and goes there is recorded as such
        try:
            flags = _content("/proc/self/fdinfo/" + number).partition("flags:\t")[2].partition("\n")[0]
            if int(flags, 8) & 3 != _WRITES_ONLY:
                yield os.readlink("/proc/self/fd/" + number)
        except (OSError, ValueError):
            continue


def _mapped() -> "Iterator[str]":
    for line in _content("/proc/self/maps").split("\n"):
        yield line[_PATH:]


def _content(path: str) -> str:
    handle = _open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts: "List[bytes]" = []
        while True:
            data = _read(handle, 1 << 16)
            if not data:
                return b"".join(parts).decode("utf-8", "surrogateescape")
            parts.append(data)
    finally:
        _close(handle)
