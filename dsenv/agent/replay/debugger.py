"""Stops in the user's frame where the program fails, on the terminal, even when stdin is a restored file."""

from __future__ import annotations

import builtins
import io
import json
import os
import pdb
import sys
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple, Type

from dsenv.agent.replay.production import Production, differing

_NAMES = ("prod", "production")
_WIDTH = 38  # of a value in `compare`
_ENDINGS = ("uncaught", "exit", "notebook")
Describe = Callable[[str, Any], Dict[str, Any]]
Stop = Callable[[BaseException, str, Describe], None]


def install(config: Dict[str, Any]) -> Stop:
    """Debug the failure that ends this process, in the deepest frame below the folder `root` of `config`.

    Returns what is called for each failure before sys.excepthook, with how it became known, and what describes a local.
    `stopped` is the file that is made by whoever stops: one process does, and once. `production` is a JSON file:
    `root`, `how` and `exceptions`, lists of recorded frames, and `blobs`, a file for each digest.
    """
    session = _Session(config)
    previous = sys.excepthook

    def hook(kind: Type[BaseException], error: BaseException, traceback: Optional[TracebackType]) -> Any:
        previous(kind, error, traceback)
        if not isinstance(error, KeyboardInterrupt):
            session.stop(error, traceback)

    sys.excepthook = hook

    def stop(error: BaseException, how: str, describe: Describe) -> None:
        session.describe = describe
        shown_first = how == "uncaught" and sys.excepthook is sys.__excepthook__
        if not shown_first and (how in _ENDINGS or how == session.how):
            session.stop(error, error.__traceback__)

    return stop


def _lift_limits() -> None:
    """A program that ran out of what it may have leaves none for the debugger."""
    import resource

    for number in (resource.RLIMIT_DATA, resource.RLIMIT_AS, resource.RLIMIT_NOFILE):
        with suppress(OSError, ValueError):
            hard = resource.getrlimit(number)[1]
            resource.setrlimit(number, (hard, hard))


def user_depth(traceback: TracebackType, root: str) -> int:
    """How many frames the deepest frame of the user's code lies above the one that raised."""
    depth, above = 0, 0
    step: Optional[TracebackType] = traceback
    while step is not None:
        above += 1
        if _is_user(step.tb_frame, root):
            above, depth = 0, 1
        step = step.tb_next
    return above if depth else 0


def _is_user(frame: FrameType, root: str) -> bool:
    file = os.path.abspath(frame.f_code.co_filename)
    return file.startswith(root.rstrip("/") + "/") and "site-packages" not in file


class _Session:
    def __init__(self, config: Dict[str, Any]) -> None:
        self._root, self._stopped = str(config.get("root", "")), str(config.get("stopped", ""))
        self.describe: Describe = lambda name, value: {"name": name, "preview": repr(value)}
        self._told: Dict[str, Any] = {}
        with suppress(OSError, ValueError), open(config.get("production", ""), encoding="utf-8") as file:
            self._told = json.load(file)
        self.how = str(self._told.get("how", ""))

    def stop(self, error: BaseException, traceback: Optional[TracebackType]) -> None:
        """Open pdb on the terminal, in the user's frame. Without a terminal, or the second time, do nothing."""
        if traceback is None:
            return
        if isinstance(error, (MemoryError, OSError)):
            _lift_limits()
        _wait_until_told()
        with _terminal() as found:
            if found and self._is_first():
                debugger = _InUserFrame(user_depth(traceback, self._root), self._told, self._root, self.describe)
                debugger.reset()
                debugger.introduce(traceback)

    def _is_first(self) -> bool:
        if not self._stopped:
            return True
        try:
            os.close(os.open(self._stopped, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except OSError:
            return False
        return True


def _wait_until_told() -> None:
    """Let what the program has written reach the terminal first: somebody else passes it on."""
    import fcntl
    import termios
    import time

    with suppress(AttributeError, OSError, ValueError):
        sys.stderr.flush()
    for number in (1, 2):
        for _ in range(25):
            with suppress(OSError):
                request = termios.TIOCOUTQ if os.isatty(number) else termios.FIONREAD
                if not any(fcntl.ioctl(number, request, bytes(4))):
                    break
            time.sleep(0.02)
    time.sleep(0.05)


@contextmanager
def _terminal() -> Iterator[bool]:
    """Standard input and output are the terminal, so that lines can be edited; false when there is none."""
    try:
        handle = os.open("/dev/tty", os.O_RDWR)
    except OSError:
        yield False
        return
    streams = sys.stdin, sys.stdout
    for stream in streams[1:]:
        with suppress(AttributeError, OSError, ValueError):
            stream.flush()
    saved: List[Tuple[int, Optional[int]]] = []
    try:
        for number in (0, 1):
            saved.append((number, _copy(number)))
            os.dup2(handle, number)
        sys.stdin = io.TextIOWrapper(io.FileIO(0, closefd=False), encoding="utf-8", errors="replace")
        sys.stdout = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), encoding="utf-8", errors="replace")
        yield True
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
        sys.stdin, sys.stdout = streams
        for number, copy in saved:
            if copy is None:
                os.close(number)
            else:
                os.dup2(copy, number)
                os.close(copy)
        os.close(handle)


def _copy(number: int) -> Optional[int]:
    try:
        return os.dup(number)
    except OSError:
        return None


class _InUserFrame(pdb.Pdb):
    """pdb that starts some frames above the one that raised, with production's locals at hand."""

    def __init__(self, up: int, told: Dict[str, Any], root: str, describe: Describe) -> None:
        super().__init__(nosigint=True)
        self.prompt = "(dsenv pdb) "
        self._up = up
        self._describe = describe
        self._production = Production(told, root, lambda: ([frame for frame, _ in self.stack], self.curindex))

    def introduce(self, traceback: TracebackType) -> None:
        """Say what is here, and begin."""
        name = _NAMES[0] if not any(_NAMES[0] in names for names in _names_of(traceback)) else _NAMES[1]
        words = "{}.x is production's local x of the frame that you are in; compare shows what differs from it."
        self.message(words.format(name))
        self.message("up, down, p and all else are pdb's own; q ends it.")
        for name in _NAMES:
            setattr(builtins, name, self._production)
        try:
            self.interaction(None, traceback)
        finally:
            for name in _NAMES:
                delattr(builtins, name)

    def setup(self, f: Optional[FrameType], tb: Optional[TracebackType]) -> Any:
        """Select the user's frame before anything is printed."""
        answer = super().setup(f, tb)
        self.curindex = max(0, self.curindex - self._up)
        self.curframe = self.stack[self.curindex][0]
        self.curframe_locals = self.curframe.f_locals
        return answer

    def do_compare(self, arg: str) -> None:
        """compare

        The locals of this frame that differ from production's, production's first. Of a table, its columns.
        """
        recorded = self._production()
        if recorded is None:
            self.message("production was not in this function")
            return
        # What was changed here counts, which a frame does not know before Python 3.13.
        values = dict(self.curframe_locals)
        known = {local.get("name") for local in recorded.get("locals", [])}
        here = [self._describe(name, value) for name, value in values.items() if name in known]
        rows = list(differing(recorded.get("locals", []), here))
        if not rows:
            self.message("no local differs, of {} that were recorded".format(len(known)))
            return
        width = max(len(name) for name, _, _ in rows)
        self.message("{:{}}  {:{}}  {}".format("local", width, "production", _WIDTH, "here"))
        for name, there, ours in rows:
            self.message("{:{}}  {:{}}  {}".format(name, width, _short(there), _WIDTH, _short(ours)))

    def completenames(self, text: str, *ignored: Any) -> List[str]:
        """Names of commands, and of production's locals."""
        if text.partition(".")[0] in _NAMES and "." in text:
            return self._of_production(text)
        return super().completenames(text, *ignored)

    def completedefault(self, text: str, *ignored: Any) -> List[str]:
        """The rest of an expression."""
        if text.partition(".")[0] in _NAMES and "." in text:
            return self._of_production(text)
        return super().completedefault(text, *ignored)

    def _complete_expression(self, text: str, line: str, begidx: int, endidx: int) -> List[str]:
        if text.partition(".")[0] in _NAMES and "." in text:
            return self._of_production(text)
        return super()._complete_expression(text, line, begidx, endidx)

    complete_p = complete_pp = complete_print = complete_display = complete_whatis = _complete_expression

    def _of_production(self, text: str) -> List[str]:
        *path, begun = text.split(".")
        value: Any = self._production
        try:
            for name in path[1:]:
                value = getattr(value, name)
        except AttributeError:
            return []
        return [".".join([*path, name]) for name in dir(value) if name.startswith(begun) and name[:1] != "_"]


def _names_of(traceback: Optional[TracebackType]) -> Iterator[Dict[str, Any]]:
    """The variables of the frames: what a program calls by our name is the program's."""
    while traceback is not None:
        yield traceback.tb_frame.f_globals
        yield traceback.tb_frame.f_locals
        traceback = traceback.tb_next


def _short(text: str) -> str:
    return text if len(text) <= _WIDTH else text[: _WIDTH - 3] + "..."
