"""SIGKILL for this process at a step of a function: at each file that it writes, at each command that it sends.

Nothing of the product is changed: the interpreter itself tells what is called and opened.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

_MIDDLE = (0.08,)  # seconds after a command was sent
_FILES = ("open", "os.rename", "os.remove")


def at_step(number: int, within: Callable[..., Any], sends: Callable[..., Any], folder: Path) -> None:
    """Die at the step of this number, counted from 1, while `within` is at work.

    Steps are: before, in and after each call of `sends`, and before each change of a file below `folder`.
    """
    steps = _Steps(number, within, sends, folder)
    sys.addaudithook(steps.audited)
    sys.setprofile(steps.called)


class _Steps:
    def __init__(self, number: int, within: Callable[..., Any], sends: Callable[..., Any], folder: Path) -> None:
        self._left, self._working = number, False
        self._within, self._sends, self._folder = within.__code__, sends.__code__, str(folder)

    def called(self, frame: FrameType, event: str, _: Any) -> None:
        """For `sys.setprofile`."""
        if event not in {"call", "return"}:
            return
        if frame.f_code is self._within:
            self._working = event == "call"
        elif frame.f_code is self._sends:
            for seconds in (0.0, *_MIDDLE) if event == "call" else (0.0,):
                self._step(seconds)

    def audited(self, event: str, arguments: tuple[Any, ...]) -> None:
        """For `sys.addaudithook`."""
        if event not in _FILES or not str(arguments[0]).startswith(self._folder):
            return
        if event != "open" or (isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)):
            self._step()

    def _step(self, after: float = 0.0) -> None:
        if not self._working:
            return
        self._left -= 1
        if self._left == 0 and after:
            threading.Timer(after, os.kill, (os.getpid(), signal.SIGKILL)).start()
        elif self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
