"""Names of processes that a second run of the same command repeats.

The command's first Python is "0", its children "0.0", "0.1", ...: the name of the parent, and the number of the child
among its parent's children. A child that is forked knows it; one that is started gets it in a variable. Programs
between two Pythons, a shell for one, pass the same variable to all that they start: these Pythons see that somebody
else is their parent, and add `~` and a digest of their arguments, because which of `a.py | b.py` starts first is
chance; `+` and a number, in the order of arrival, tell apart what is started with equal arguments.
"""

import os
import sys
from _thread import RLock

TYPE_CHECKING = False  # typing would be loaded into every program
if TYPE_CHECKING:
    from typing import List

VARIABLE = b"DSENV_PROCESS"
_PATIENCE = 1.0  # seconds; a lock that another thread held when this process was forked is never released
_MOST = 10_000  # Pythons with equal arguments that are told apart

_open, _close, _putenv = os.open, os.close, os.putenv


class Names:
    """The name of this process, and those of its children."""

    def __init__(self, folder: str) -> None:
        data = getattr(os.environ, "_data", {})
        namer, _, name = data.pop(VARIABLE, b"").decode("ascii", "replace").partition(" ")
        if not namer.isdigit() or int(namer) not in (os.getpid(), os.getppid()):
            name = "{}~{:08x}".format(name or "0", _digest(_words()))
        self.name = _claim(folder + "/names/", name)
        self._started = 0
        self._lock = RLock()
        self._locked: "List[bool]" = []
        self._forked = ""
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=self._before_fork, after_in_parent=self.after, after_in_child=self._after_in_child
            )

    def before(self, counts: bool = True) -> bytes:
        """The value of VARIABLE for a child that is about to be started; `after` must follow.

        What is started without an environment of its own finds it in this process's.
        """
        self._locked.append(self._lock.acquire(timeout=_PATIENCE))
        name = self._next() if counts else "{}.{}".format(self.name, self._started)
        value = "{} {}".format(os.getpid(), name).encode("ascii")
        _putenv(VARIABLE, value)
        return value

    def after(self) -> None:
        """The child was started, or could not be."""
        if self._locked and self._locked.pop():
            self._lock.release()

    def _next(self) -> str:
        self._started += 1
        return "{}.{}".format(self.name, self._started - 1)

    def _before_fork(self) -> None:
        self._locked.append(self._lock.acquire(timeout=_PATIENCE))
        self._forked = self._next()

    def _after_in_child(self) -> None:
        self.name, self._started = self._forked, 0
        self._lock, self._locked = RLock(), []


def _words() -> "List[str]":
    """The arguments without folders: a reproduction may have put them elsewhere."""
    words = getattr(sys, "orig_argv", None) or ["", *getattr(sys, "argv", [])]
    return [str(word).rpartition("/")[2] for word in words[1:]]


def _digest(words: "List[str]") -> int:
    """FNV-1a: what the standard library has would have to be loaded."""
    value = 0x811C9DC5
    for byte in "\0".join(words).encode("utf-8", "surrogateescape"):
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value


def _claim(folder: str, name: str) -> str:
    """`name`, or the first of name+1, name+2, ... that no process of this run has."""
    for number in range(_MOST):
        candidate = name if number == 0 else "{}+{}".format(name, number)
        try:
            _close(_open(folder + candidate, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            continue
        except OSError:
            break  # a name that is too long, a disk that is full
        return candidate
    return name
