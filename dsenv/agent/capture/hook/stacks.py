"""Where the threads of the program are: written when it dies by a signal, and whenever capture asks for it.

Two signals that programs do not use are ours. For one, faulthandler writes file, line and function of every thread at
once, whatever the program does; for the other, Python writes the locals as well, when it comes to run byte code again.
"""

import os
from time import time_ns

from .ending import Replaced
from .events import HELD, high
from .opener import known_as

TYPE_CHECKING = False  # typing would be loaded into every program
if TYPE_CHECKING:
    from typing import Any

    from .program import Program

_open, _close, _dup2 = os.open, os.close, os.dup2


def watch(program: "Program", folder: str) -> None:
    """Register for the signals. Without numbers in the settings, only for those by which programs die."""
    import faulthandler

    handle = high(_file(folder))
    _watch_forks(folder, handle)
    _hide()
    if not faulthandler.is_enabled():
        faulthandler.enable(handle)
        _stand_aside(faulthandler, handle)
    if program.settings.get("dump"):
        faulthandler.register(int(program.settings["dump"]), handle, all_threads=True)
        _answer(program, int(program.settings["look"]))


def _file(folder: str) -> int:
    name = "{}/stacks/{}".format(folder, os.getpid())
    return _open(name, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _hide() -> None:
    """Leave our descriptors out of what a program sees that lists its own."""
    listdir = os.listdir

    class ListDir(Replaced):
        def __call__(self, *args: "Any", **kwargs: "Any") -> "Any":
            found = listdir(*args, **kwargs)
            if args and args[0] in ("/proc/self/fd", "/dev/fd", "/proc/{}/fd".format(os.getpid())):
                return [name for name in found if name not in map(str, HELD)]
            return found

    ours = ListDir(listdir, None)
    known_as(listdir, ours)
    os.listdir = ours


def _watch_forks(folder: str, handle: int) -> None:
    """A forked process has a file of its own, under the same number."""

    def forked() -> None:
        try:
            new = _file(folder)
            _dup2(new, handle, inheritable=False)
            _close(new)
        except OSError:
            pass  # it shares the file of its parent

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=forked)


def _stand_aside(faulthandler: "Any", handle: int) -> None:
    """Let the program use faulthandler as if nobody did."""
    enable, disable, is_enabled = faulthandler.enable, faulthandler.disable, faulthandler.is_enabled
    theirs = [False]

    class Enable(Replaced):
        def __call__(self, *args: "Any", **kwargs: "Any") -> "Any":
            enable(*args, **kwargs)
            theirs[0] = True

    class Disable(Replaced):
        def __call__(self) -> bool:
            was, theirs[0] = theirs[0], False
            disable()
            enable(handle)
            return was

    class IsEnabled(Replaced):
        def __call__(self) -> bool:
            return bool(theirs[0] and is_enabled())

    faulthandler.enable = Enable(enable, None)
    faulthandler.disable = Disable(disable, None)
    faulthandler.is_enabled = IsEnabled(is_enabled, None)


def _answer(program: "Program", number: int) -> None:
    """Write where the threads are, with locals, when the signal `number` comes."""
    import _signal  # type: ignore[import-not-found]

    def look(_number: int, frame: "Any") -> None:
        try:
            stacks = program.describer()["stacks"](frame, program.settings["root"])
            program.events.write({"e": "stack", "pid": os.getpid(), "when": time_ns() // 1000, "stacks": stacks})
        except Exception:  # noqa: BLE001 - the program goes on, whatever it is made of
            pass

    _signal.signal(number, look)
    getsignal = _signal.getsignal

    class GetSignal(Replaced):
        def __call__(self, signalnum: "Any") -> "Any":
            found = getsignal(signalnum)
            return _signal.SIG_DFL if found is look else found

    _signal.getsignal = GetSignal(getsignal, None)
