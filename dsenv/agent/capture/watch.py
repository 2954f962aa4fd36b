"""What compiled readers and other programs read, seen from outside by inotify, and what was declared.

A copy is made when an opening is seen, which is a moment after it. Content that was last changed before the command
began is what was read; of any other the record says that it may have been changed since.
"""

from __future__ import annotations

import os
import select
import stat
import threading
from collections import Counter, deque
from time import monotonic

from dsenv.agent.capture import codetree, inotify, reader
from dsenv.agent.capture.copies import Room
from dsenv.agent.capture.spool import INPUT_CAP, INPUTS_CAP, Spool
from dsenv.agent.light import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any, Callable, Deque, Dict, Iterable, List, Optional, Set, Tuple

FOLDERS = 8192  # that are watched
FILES = 20_000  # that are noted
_DECLARED = 10_000
_ASKED = 200  # files whose reader is looked for
_BACKLOG = 200_000  # events
_TICK = 20_000_000  # nanoseconds by which a file's time may lag behind the clock
_PATIENCE = 2.0  # seconds after the end of the command
_DEPTH = 4  # in a folder that nothing marks as a project
_SYSTEM = ("/proc/", "/sys/", "/dev/", "/usr/", "/lib/", "/lib64/", "/bin/", "/sbin/", "/etc/", "/run/")
_MASK = inotify.OPEN | inotify.CLOSE_WRITE | inotify.CLOSE_NOWRITE | inotify.CREATE | inotify.MOVED_TO
_CODE = (".py", ".pyc", ".pyi", ".so")


class Wanted(NamedTuple):
    """What to watch: the project, what the command's words name, and what the user declared."""

    root: str
    marked: bool
    cwd: str
    command: List[str]
    declared: Tuple[str, ...]
    avoid: Tuple[str, ...]  # folders of our own, and the archive that we are
    started_ns: int


class Watcher(threading.Thread):
    """Notes what is opened until `finish`. What it cannot do it says in `trouble`."""

    def __init__(self, wanted: Wanted, spool: Spool, pid: int) -> None:
        super().__init__(name="inputs", daemon=True)
        self._wanted, self._pid = wanted, pid
        self._began = wanted.started_ns - _TICK
        self._room = Room(spool.copies, INPUT_CAP, INPUTS_CAP, opened=self.own)
        self._told = reader.Told(spool)
        self.trouble: List[str] = []
        self.found: Dict[str, Dict[str, Any]] = {}
        self.written: Set[str] = set()
        self.ready = threading.Event()  # from then on every opening is seen
        self._declared: List[Dict[str, Any]] = []
        self._confirmed: Set[str] = set()
        self._announced: "Deque[str]" = deque()
        self._own: "Counter[Tuple[int, str]]" = Counter()
        self._paths: Dict[int, str] = {}
        self._wake, self._ring = os.pipe()
        self._ended, self._over = threading.Event(), threading.Event()
        self._queue: Optional[inotify.Notify] = None
        self._deadline: Optional[float] = None

    def own(self, path: str) -> None:
        """This process opens `path` itself, once, and will close it. Called before anybody looks at the event."""
        self._announced.append(path)

    def run(self) -> None:
        try:
            self._watch()
        except Exception as problem:  # noqa: BLE001 - a traceback would go to the command's stderr
            self.trouble.append("what other programs and compiled code read is not seen: {}".format(problem))
        finally:
            self.ready.set()
            self._over.set()
            if self._queue is not None:
                self._queue.close()  # which takes the system up to twenty milliseconds: nobody waits for it

    def stop(self) -> None:
        """The command has ended. What was seen is still looked at."""
        self._ended.set()
        os.write(self._ring, b".")

    def so_far(self, known: Set[str]) -> List[Dict[str, Any]]:
        """The inputs until now, without those whose paths are known, for whoever does not stop the watching."""
        return [*self._declared, *(item for path, item in self._inputs() if path not in known)]

    def _inputs(self) -> List[Tuple[str, Dict[str, Any]]]:
        """What was seen to be opened and was not written before, by path."""
        return [
            (path, item)
            for path, item in list(self.found.items())
            if path and (path in self._confirmed or item["mtime_ns"] < self._began)
        ]

    def finish(self) -> List[Dict[str, Any]]:
        """The inputs, after `stop`, as events of the kind that the command's Pythons write."""
        self._over.wait()
        os.close(self._ring)
        os.close(self._wake)
        self._told.update()
        return self.so_far(self._told.paths)

    def _watch(self) -> None:
        self._keep_declared()
        if self._ended.is_set() or reader.has_ended(self._pid):
            return  # there is nothing to see any more
        queue = self._queue = inotify.Notify()
        self._add_all(queue)
        self.ready.set()
        poll = select.poll()
        poll.register(queue.handle, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        while not self._ended.is_set():
            poll.poll()
            self._look(queue)
        self._look(queue)

    def _keep_declared(self) -> None:
        named = [] if _is_python(self._wanted.command) else list(_named(self._wanted, os.path.isfile))
        for path in named:
            if not os.access(path, os.X_OK):
                self._open(path, "child")
                self._confirmed.add(path)
        for word in self._wanted.declared:
            path = os.path.normpath(os.path.join(self._wanted.cwd, word))
            if not os.path.exists(path):
                self.trouble.append("the declared input {} is not there".format(word))
            for file in _files(path):
                item = self._room.take(file, self._began)
                if item is not None:
                    self._declared.append(dict(item, how="declared", pid=self._pid))

    def _add_all(self, queue: inotify.Notify) -> None:
        folders = _folders(self._wanted)
        try:
            for path in _named(self._wanted, os.path.isfile):
                self._add(queue, path)
            for count, folder in enumerate(folders):
                if count >= FOLDERS:
                    raise inotify.Full
                self._add(queue, folder)
                if count % 64 == 0:
                    self._look(queue)
                if self._ended.is_set():
                    return
        except inotify.Full:
            text = "only {} folders could be watched for what other programs and compiled code read"
            self.trouble.append(text.format(len(self._paths)))

    def _add(self, queue: inotify.Notify, path: str) -> None:
        try:
            self._paths[queue.add(path, _MASK)] = path
        except OSError:
            return  # it went, or is closed to us: the command may be another user's program

    def _look(self, queue: inotify.Notify) -> None:
        """Look at all that has happened. The system's queue is short, so it is emptied before each copy."""
        waiting: "Deque[inotify.Seen]" = deque(queue.read())
        while waiting:
            watch, mask, name = waiting.popleft()
            if mask & inotify.OVERFLOW:
                self._say("so many files were opened at once that not all were seen")
            if not mask & inotify.IS_FOLDER and watch in self._paths and len(waiting) < _BACKLOG:
                base = self._paths[watch]
                self._event(os.path.join(base, name) if name else base, mask)
                waiting.extend(queue.read())
            if self._ended.is_set() and not self._in_time():
                return

    def _in_time(self) -> bool:
        if self._deadline is None:
            self._deadline = monotonic() + _PATIENCE
        if monotonic() < self._deadline:
            return True
        self._say("other programs and compiled code opened so many files last that not all are noted")
        return False

    def _say(self, text: str) -> None:
        if text not in self.trouble:
            self.trouble.append(text)

    def _event(self, path: str, mask: int) -> None:
        if path in self._wanted.avoid or self._is_own(mask, path):
            return
        if mask & (inotify.CREATE | inotify.MOVED_TO):
            self.written.add(path)
        elif mask & inotify.OPEN:
            if path not in self.found and path not in self.written:
                self._open(path, "")
        elif mask & inotify.CLOSE_NOWRITE:
            self._confirmed.add(path)
        elif mask & inotify.CLOSE_WRITE and path not in self._confirmed:
            # What was there before the command began is what it began with, also when it was opened to be changed.
            known = self.found.get(path)
            if known is None or known["mtime_ns"] >= self._began:
                self.found.pop(path, None)
                self.written.add(path)

    def _is_own(self, mask: int, path: str) -> bool:
        """Whether this is an event of this process itself, which closes what it opened before."""
        while self._announced:
            self._own[inotify.OPEN, self._announced.popleft()] += 1
        kind = mask & (inotify.OPEN | inotify.CLOSE_NOWRITE)
        if self._own[kind, path] <= 0:
            return False
        self._own[kind, path] -= 1
        if kind == inotify.OPEN:
            self._own[inotify.CLOSE_NOWRITE, path] += 1
        return True

    def _open(self, path: str, how: str) -> None:
        if path.endswith(_CODE) or path.startswith(_SYSTEM) or os.path.basename(path).startswith(".git"):
            return
        self._told.update()
        if path in self._told.paths:
            return
        if len(self.found) >= FILES:
            text = "more than {} files were opened by other programs or compiled code; the others are not noted"
            self._say(text.format(FILES))
            return
        who = reader.holder(self._pid, path) if len(self.found) < _ASKED and not self._ended.is_set() else 0
        item = self._room.take(path, self._began)
        if item is not None:
            pythons = self._told.pythons
            how = how or ("native" if (who in pythons if who else bool(pythons)) else "child")
            self.found[path] = dict(item, how=how, pid=who or self._pid)


def _is_python(command: List[str]) -> bool:
    return os.path.basename(command[0]).startswith(("python", "pypy", "ipython", "jupyter", "pytest"))


def _named(wanted: Wanted, test: Callable[[str], bool]) -> List[str]:
    """What the command's words name and `test` likes."""
    found: List[str] = []
    for word in wanted.command[1:200]:
        for text in (word, word.partition("=")[2]):
            path = os.path.normpath(os.path.join(wanted.cwd, text)) if text and "\0" not in text else ""
            if path and not path.startswith(_SYSTEM) and not path.endswith(_CODE) and test(path):
                found.append(path)
    return list(dict.fromkeys(found))


def _folders(wanted: Wanted) -> Iterable[str]:
    """The project's folders and those that the command names, with what lies in them."""
    roots = [(wanted.root, wanted.marked)]
    roots += [(folder, True) for folder in _named(wanted, os.path.isdir)]
    seen: Set[str] = set()
    for root, deep in roots:
        if root == "/" or (root + "/").startswith(_SYSTEM):
            continue
        base = root.rstrip("/").count("/")
        for folder, below, _ in os.walk(root):
            if folder in seen:
                below.clear()
                continue
            seen.add(folder)
            far = not deep and folder.count("/") - base >= _DEPTH
            below[:] = [] if far else [n for n in below if codetree.enters(os.path.join(folder, n), n, wanted.avoid)]
            yield folder


def _files(path: str) -> Iterable[str]:
    if not os.path.isdir(path):
        return [path] if _is_regular(path) else []
    found: List[str] = []
    for folder, below, names in os.walk(path):
        below.sort()
        found += [file for file in (os.path.join(folder, name) for name in sorted(names)) if _is_regular(file)]
        if len(found) >= _DECLARED:
            break
    return found[:_DECLARED]


def _is_regular(path: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return False
