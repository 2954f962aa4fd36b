"""Stops in the user's frame where the program fails, on the terminal, even when stdin is a restored file."""

from __future__ import annotations

import pdb
import sys
from contextlib import ExitStack, suppress
from types import FrameType, TracebackType
from typing import IO, Any, Optional, Type


def install(root: str) -> None:
    """Debug an uncaught exception of this process, in the deepest frame below the folder `root`."""
    previous = sys.excepthook

    def hook(kind: Type[BaseException], error: BaseException, traceback: Optional[TracebackType]) -> Any:
        previous(kind, error, traceback)
        if isinstance(error, MemoryError):
            _lift_limits()
        if traceback is not None and isinstance(error, Exception):
            stop(traceback, root)

    sys.excepthook = hook


def _lift_limits() -> None:
    """A program that ran out of what it may have leaves none for the debugger."""
    import resource

    for number in (resource.RLIMIT_DATA, resource.RLIMIT_AS):
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
    file = frame.f_code.co_filename
    return file.startswith(root) and "site-packages" not in file


def stop(traceback: TracebackType, root: str) -> None:
    """Open pdb on the terminal, in the user's frame. Without a terminal, do nothing."""
    with ExitStack() as opened:
        try:
            terminal_in = opened.enter_context(open("/dev/tty", encoding="utf-8", errors="replace"))
            terminal_out = opened.enter_context(open("/dev/tty", "w", encoding="utf-8", errors="replace"))
        except OSError:
            return
        debugger = _InUserFrame(terminal_in, terminal_out, user_depth(traceback, root))
        debugger.reset()
        debugger.interaction(None, traceback)


class _InUserFrame(pdb.Pdb):
    """pdb that starts some frames above the one that raised."""

    def __init__(self, stdin: IO[str], stdout: IO[str], up: int) -> None:
        super().__init__(stdin=stdin, stdout=stdout, nosigint=True)
        self.use_rawinput = False
        self.prompt = "(dsenv pdb) "
        self._up = up

    def setup(self, f: Optional[FrameType], tb: Optional[TracebackType]) -> Any:
        """Select the user's frame before anything is printed."""
        answer = super().setup(f, tb)
        self.curindex = max(0, self.curindex - self._up)
        self.curframe = self.stack[self.curindex][0]
        self.curframe_locals = self.curframe.f_locals
        return answer
