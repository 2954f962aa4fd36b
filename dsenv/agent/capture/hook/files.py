"""What the program opens to read, copied before it reads it."""

import os
import sys
from time import time_ns

from . import listing
from .opener import stand_before

TYPE_CHECKING = False  # typing would be loaded into every program
if TYPE_CHECKING:
    from typing import Any, Dict, Iterator, Optional, Tuple

    from .events import Events

_REGULAR = 0o100000
_KIND = 0o170000
_MOST = 50_000  # files of one process that are noted: 30 MB of its memory

# As they were before the program or we put something in front of them.
_open, _close, _write, _stat, _unlink = os.open, os.close, os.write, os.stat, os.unlink
_normal, _walk, _is_folder = os.path.normpath, os.walk, os.path.isdir
_WORDS = 64  # of a program that is started


class Inputs:
    """Notes the files that are opened to be read, and copies them before they are."""

    def __init__(self, events: "Events", settings: "Dict[str, str]") -> None:
        self._events = events
        self._folder = settings["copies"]
        self._root = settings["root"].rstrip("/") + "/"
        self._cap, self._left = int(settings["cap"]), int(settings["total"])
        self._ignored = self._system_folders(settings)
        self._seen: "Dict[str, Optional[Tuple[int, int, int]]]" = {}
        self._written: "set[str]" = set()
        self._begun = time_ns()  # a process that becomes another program keeps its number
        self._number, self._full = 0, False

    def _system_folders(self, settings: "Dict[str, str]") -> "Tuple[str, ...]":
        folders = ["/proc", "/sys", "/dev", "/usr", "/lib", "/lib64", "/bin", "/sbin", "/etc", "/run"]
        folders += [os.path.dirname(os.__file__), *settings["ignored"].split("\0")]
        folders += [entry for entry in sys.path if entry.endswith(("-packages", "lib-dynload"))]
        for prefix in {sys.prefix, sys.base_prefix, sys.exec_prefix}:
            folders += [prefix + "/" + name for name in ("bin", "include", "lib", "lib64", "share", "etc", "ssl")]
        return tuple(folder + "/" for folder in folders if folder)

    def opened(self, file: "Any", reads: bool, creates: bool, how: str) -> None:
        """A file is about to be opened. Never raises."""
        try:
            if type(file) is str and not creates:
                known = self._seen.get(file)
                if known is not None:  # most openings are of what was opened before
                    info = _stat(file)
                    if known == (info.st_mtime_ns, info.st_size, info.st_ino):
                        return
            path = self.place(file)
            if path is None:
                return
            if path.endswith((".py", ".pyc")) and path.startswith(self._root):
                return
            if reads:
                self._read(path, how)
            if creates:
                self.wrote(path)
        except Exception:  # noqa: BLE001 - the program's own call goes on, whatever it was given
            return

    def native(self, file: "Any", how: str, most: int = 1) -> None:
        """Something else than this Python is about to read a file, or a folder with at most `most` files.

        Raises TypeError and OSError.
        """
        path = self.place(file)
        if path is None or (path.endswith((".py", ".pyc")) and path.startswith(self._root)):
            return
        if most > 1 and _is_folder(path):
            for folder, below, names in _walk(path):  # which lists them, as far as we hear of it
                below.sort()
                for name in sorted(names)[:most]:
                    self._read(folder + "/" + name, how)
                most -= len(names)
                if most <= 0:
                    return
        else:
            self._read(path, how)

    def named(self, words: "Any", folder: "Any") -> None:
        """A program is about to be started: files that its words name are most likely read by it."""
        try:
            for word in _split(words):
                path = os.path.join(os.fsdecode(folder), word) if folder else word
                place = self.place(path)
                if place is not None and os.path.isfile(place) and not os.access(place, os.X_OK):
                    self.native(place, "child")
        except Exception:  # noqa: BLE001 - the program is started, whatever its words are
            return

    def place(self, file: "Any") -> "Optional[str]":
        """The absolute path; None for what is no path, what the program made itself and what belongs to the system.

        Raises TypeError and OSError.
        """
        if isinstance(file, int):
            return None
        path = file if type(file) is str else os.fsdecode(os.fspath(file))
        if path[:1] != "/":
            path = os.getcwd() + "/" + path
        if "/." in path or "//" in path or path[-1:] == "/":
            path = _normal(path)
        return None if path in self._written or (path + "/").startswith(self._ignored) else path

    def wrote(self, path: str) -> None:
        """The program makes what is at `path`."""
        if len(self._written) < _MOST:
            self._written.add(path)
            self._events.write({"e": "written", "path": path, "when": time_ns() // 1000, "pid": os.getpid()})

    def trouble(self, text: str) -> None:
        """Say what is not noted."""
        self._events.write({"e": "trouble", "pid": os.getpid(), "text": text})

    def _read(self, path: str, how: str) -> None:
        if len(self._seen) >= _MOST and path not in self._seen:
            if not self._full:
                self._full = True
                self.trouble("more than {} files were opened; the others are not noted".format(_MOST))
            return
        try:
            info = _stat(path)
        except OSError:
            if path not in self._seen:
                self._seen[path] = None
                self.note(path, how, {"missing": True})
            return
        if info.st_mode & _KIND != _REGULAR:
            return
        state = (info.st_mtime_ns, info.st_size, info.st_ino)
        if self._seen.get(path) == state:
            return
        self._seen[path] = state
        facts: "Dict[str, Any]" = {"size": info.st_size, "mode": info.st_mode & 0o777, "mtime_ns": info.st_mtime_ns}
        if info.st_size:
            facts.update(self._content(path, state))
        self.note(path, how, facts)

    def note(self, path: str, how: str, facts: "Dict[str, Any]") -> None:
        """Tell of an input."""
        facts.update({"e": "input", "path": path, "how": how, "when": time_ns() // 1000, "pid": os.getpid()})
        self._events.write(facts)

    def _content(self, path: str, state: "Tuple[int, int, int]") -> "Dict[str, str]":
        """A copy, or why there is none."""
        size = state[1]
        if size > self._cap:
            return {"note": "larger than the cap"}
        if size > self._left:
            return {"note": "the inputs together are larger than the cap"}
        self._left -= size
        # Whoever watches from outside is told beforehand that this opening is ours.
        self._events.write({"e": "reading", "path": path})
        found = self._copy(path)
        after = _stat(path)
        if (after.st_mtime_ns, after.st_size) != state[:2]:
            found["note"] = "it was changed while it was copied"
        return found

    def new_copy(self) -> str:
        """The name of another copy."""
        self._number += 1
        return "{}-{}-{}".format(os.getpid(), self._begun, self._number)

    def append(self, name: str, data: bytes) -> None:
        """Add to a copy of what is no file, as far as there is room. Raises OSError.

        It is opened each time, so that the program's own files get the numbers they always got.
        """
        data = data[: max(0, min(self._left, self._cap))]
        self._left -= len(data)
        copy = _open(self._folder + "/" + name, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            while data:
                data = data[_write(copy, data) :]
        finally:
            _close(copy)

    def _copy(self, path: str) -> "Dict[str, str]":
        name = self.new_copy()
        target = self._folder + "/" + name
        try:
            source = _open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            return {"note": "cannot be read: {}".format(error.strerror)}
        try:
            copy = _open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                _transfer(source, copy)
            finally:
                _close(copy)
        except OSError as error:
            try:
                _unlink(target)
            except OSError:
                pass
            return {"note": "could not be copied: {}".format(error.strerror)}
        finally:
            _close(source)
        return {"copy": name}


def _transfer(source: int, target: int) -> None:
    """Copy in the kernel where it can, sharing blocks where the file system does."""
    if hasattr(os, "copy_file_range"):
        try:
            while os.copy_file_range(source, target, 1 << 24):
                pass
            return
        except OSError:
            os.lseek(source, 0, os.SEEK_SET)
            os.ftruncate(target, 0)
            os.lseek(target, 0, os.SEEK_SET)
    while True:
        data = os.read(source, 1 << 20)
        if not data:
            return
        while data:
            data = data[_write(target, data) :]


def _split(words: "Any") -> "Iterator[str]":
    """The words after the first; those of a command for a shell apart, as far as blanks tell."""
    found = [os.fsdecode(word) for word in list(words)[1 : 1 + _WORDS]]
    for number, word in enumerate(found):
        if number and found[number - 1] == "-c" and " " in word:
            parts = word.replace("<", " ").replace("|", " ").replace(";", " ").replace("&", " ").split()
            for part in parts[:_WORDS]:
                yield part.strip("'\"()`")
        elif word and len(word) < 4096 and "\0" not in word:
            yield word
            if word.startswith("-") and "=" in word:
                yield word.partition("=")[2]


def watch(events: "Events", settings: "Dict[str, str]") -> Inputs:
    """Stand before `open` and `os.open`."""
    import builtins
    import io

    inputs = Inputs(events, settings)

    def before_open(file: "Any" = None, mode: "Any" = "r", *_args: "Any", **_kwargs: "Any") -> None:
        if isinstance(mode, str):
            new = "w" in mode or "x" in mode
            inputs.opened(file, not new, new or "a" in mode or "+" in mode, "open")

    def before_os_open(path: "Any" = None, flags: "Any" = 0, *_args: "Any", **kwargs: "Any") -> None:
        if isinstance(flags, int) and kwargs.get("dir_fd") is None and not flags & getattr(os, "O_DIRECTORY", 0):
            writes = bool(flags & (os.O_WRONLY | os.O_RDWR))
            new = writes and bool(flags & (os.O_TRUNC | os.O_EXCL))
            inputs.opened(path, not new and not flags & os.O_WRONLY, writes, "os.open")

    stand_before(io, "open", before_open)
    builtins.open = io.open
    stand_before(os, "open", before_os_open)
    listing.watch(inputs)
    return inputs
