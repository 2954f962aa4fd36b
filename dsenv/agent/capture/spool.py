"""The private folder of one run, where the processes of the command leave what they know."""

from __future__ import annotations

import os
import time
from contextlib import suppress

from dsenv.agent.capture import hook
from dsenv.agent.light import TYPE_CHECKING, NamedTuple, signal

if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional

_NAME = "dsenv-run-"
INPUT_CAP, INPUTS_CAP = 64 << 20, 2 << 30  # bytes: of one input that is copied, and of all that one process copies
_LINE_LIMIT = 32 << 20
_STALE_SECONDS = 24 * 3600


class Spool:
    """`hook/` is the folder that goes on PYTHONPATH, `events` the lines of all processes, `copies/` what they read."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.hook = os.path.join(folder, "hook")
        self.copies = os.path.join(folder, "copies")
        self.events_file = os.path.join(self.hook, "events")
        self.offset = 0

    @classmethod
    def make(cls, environ: Mapping[str, str], preferred: Optional[str]) -> "Spool":
        """A new one: in the store when that is a folder, so that copies need not cross file systems.

        Raises OSError when there is no place for it.
        """
        for parent in _places(preferred, environ):
            folder = os.path.join(os.path.realpath(parent), "{}{}-{}".format(_NAME, os.getpid(), os.urandom(4).hex()))
            try:
                os.mkdir(folder, 0o700)
            except OSError as error:
                problem = error
                continue
            spool = cls(folder)
            try:
                os.mkdir(spool.hook, 0o700)
                os.mkdir(spool.copies, 0o700)
            except OSError as error:
                _remove(folder)
                problem = error
                continue
            return spool
        raise problem

    def fill(self, settings: Dict[str, str]) -> None:
        """Put the hook in place. Raises OSError."""
        for folder in ("__pycache__", "names", "stacks"):
            os.mkdir(os.path.join(self.hook, folder), 0o700)
        for name, content in hook.contents().items():
            _write(os.path.join(self.hook, name), content)
        lines = "".join("{}\t{}\n".format(name, value) for name, value in settings.items() if "\n" not in value)
        _write(os.path.join(self.hook, "settings"), lines.encode("utf-8", "surrogateescape"))
        _write(self.events_file, b"")

    def events(self) -> Iterator[Dict[str, Any]]:
        """What the processes said so far, from the beginning. A line that was cut off is left out."""
        from dsenv.agent import jsontext

        try:
            with open(self.events_file, "rb") as file:
                for line in file:
                    if not line.endswith(b"\n") or len(line) > _LINE_LIMIT:
                        continue
                    try:
                        value = jsontext.loads(line)
                    except ValueError:
                        continue
                    if isinstance(value, dict):
                        yield value
        except OSError:
            return

    def stacks_file(self, pid: int) -> str:
        """Where a Python of the command writes where its threads are."""
        return os.path.join(self.hook, "stacks", str(pid))

    def stacks_pids(self) -> List[int]:
        """The Pythons that have such a file."""
        try:
            return sorted(int(name) for name in os.listdir(os.path.join(self.hook, "stacks")) if name.isdigit())
        except OSError:
            return []

    def remove(self) -> None:
        """Delete it with all it holds."""
        _remove(self.folder)


class Request(NamedTuple):
    """The signals by which a Python is asked where it is; None where the system has no spare ones."""

    dump: Optional[int]
    look: Optional[int]


def request() -> Request:
    """Those of this system: real-time signals that neither its C library nor anything common uses."""
    last = getattr(signal, "SIGRTMAX", None)
    return Request(None, None) if last is None else Request(int(last) - 7, int(last) - 8)


def _places(preferred: Optional[str], environ: Mapping[str, str]) -> List[str]:
    """Where a spool may be, best first. mkdir refuses what is there, so a shared folder is safe."""
    found = (preferred, environ.get("TMPDIR"), "/tmp", "/var/tmp", ".")  # noqa: S108
    return [place for place in found if place]


def sweep(store: str, environ: Mapping[str, str]) -> None:
    """Remove what captures left behind that were killed: it holds what their commands read."""
    for parent in _places(store, environ):
        try:
            names = [name for name in os.listdir(parent) if name.startswith(_NAME)]
        except OSError:
            continue
        for name in names:
            folder = os.path.join(parent, name)
            if _is_stale(folder, name):
                _remove(folder)


def _is_stale(folder: str, name: str) -> bool:
    """Its capture does not live. A number may be another process's now, in this or another container."""
    number = name[len(_NAME) :].partition("-")[0]
    try:
        info = os.lstat(folder)
        if info.st_uid != os.getuid() or time.time() - info.st_mtime < _STALE_SECONDS or not number.isdigit():
            return False
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _remove(folder: str) -> None:
    """Delete a folder with all it holds, as far as it can be; links in it are not followed."""
    for place, folders, files in os.walk(folder, topdown=False):
        for name in files:
            _quietly(os.unlink, os.path.join(place, name))
        for name in folders:
            path = os.path.join(place, name)
            _quietly(os.unlink if os.path.islink(path) else os.rmdir, path)
    _quietly(os.rmdir, folder)


def _quietly(action: Callable[[str], None], path: str) -> None:
    with suppress(OSError):
        action(path)


def _write(path: str, data: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        while data:
            data = data[os.write(handle, data) :]
    finally:
        os.close(handle)
