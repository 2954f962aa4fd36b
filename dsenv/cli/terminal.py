"""The terminal of a run: what is typed goes there, what comes back is written here, ^C and resizing included.

termios and its like are imported where they are used: this module must load on every system.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING

from dsenv.cli import diagnostics

if TYPE_CHECKING:
    from dsenv.sync.follow import Control
    from dsenv.transports.base import Pty, Stream

_BLOCK = 1 << 16
_INTERRUPT = b"\x03"
_TWICE_SECONDS = 1.0


def size() -> tuple[int, int]:
    """Columns and rows of the terminal; 80 and 24 without one."""
    for stream in (sys.stdout, sys.stdin, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            found = os.get_terminal_size(stream.fileno())
            return found.columns, found.lines
    return 80, 24


def pty() -> Pty | None:
    """The terminal that a command over there should get: one when standard input and output are terminals here."""
    from dsenv.transports.base import Pty

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return None
    columns, rows = size()
    return Pty(os.environ.get("TERM") or "xterm-256color", columns, rows)


class TerminalConsole:
    """Standard streams as a job's console. A `dsenv.sync.follow.Console`."""

    def __init__(self, *, raw: bool, stdin: bool, stdout_to_stderr: bool = False) -> None:
        """`raw`: the job has a terminal, so every key goes to it. `stdin`: forward standard input at all."""
        self._raw, self._stdin = raw, stdin
        self._targets = {"stdout": 2 if stdout_to_stderr else 1, "stderr": 2}
        self._control: Control | None = None
        self._interrupts: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._count = 0
        self.detached_by_user = False
        self.reader_gone = False

    def write(self, stream: Stream, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._targets[stream], view) :]
        except BrokenPipeError:
            self.reader_gone = True
            if self._control:
                self._control.detach()

    def attach(self, control: Control) -> None:
        self._control = control
        threading.Thread(target=self._send_interrupts, daemon=True, name="interrupts").start()
        if self._stdin:
            threading.Thread(target=self._forward, daemon=True, name="stdin").start()

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """While the run lasts: raw mode where asked for, ^C and window changes to the job, all undone at the end."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(_handler("SIGINT", lambda: self._interrupts.put("INT")))
            stack.enter_context(_handler("SIGTERM", lambda: self._interrupts.put("TERM")))
            stack.enter_context(_handler("SIGHUP", lambda: self._interrupts.put("HUP")))
            if self._raw:
                stack.enter_context(_handler("SIGWINCH", lambda: self._interrupts.put("WINCH")))
                stack.enter_context(_raw_mode())
            yield

    def _send_interrupts(self) -> None:
        """Signals to the job, from a thread: a signal handler must not wait for a lock."""
        control = self._control
        assert control is not None
        while True:
            name = self._interrupts.get()
            if name == "WINCH":
                control.resize(*size())
            elif name == "HUP":
                self._detach(control)  # the terminal was closed; the run stays
            else:
                self._count += 1
                if self._count > 1:
                    self._detach(control)
                else:
                    control.signal(name)

    def _detach(self, control: Control) -> None:
        self.detached_by_user = True
        control.detach()

    def _forward(self) -> None:
        control = self._control
        assert control is not None
        last_interrupt = 0.0
        while True:
            try:
                data = os.read(0, _BLOCK)
            except OSError:
                data = b""
            if not data:
                control.stdin_end()
                return
            if self._raw and data == _INTERRUPT:
                if time.monotonic() - last_interrupt < _TWICE_SECONDS:
                    self._detach(control)
                    return
                last_interrupt = time.monotonic()
            elif self._raw:
                last_interrupt = 0.0
            if not control.stdin(data):
                return

    def say_detached(self, job: str) -> None:
        """Tell how to come back."""
        diagnostics.write(f"detached; the run goes on\n  next: dsenv attach {job}")


@contextlib.contextmanager
def _handler(name: str, action: Callable[[], None]) -> Iterator[None]:
    number = getattr(signal, name, None)
    if number is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(_number: int, _frame: FrameType | None) -> None:
        action()

    before = signal.signal(number, handle)
    try:
        yield
    finally:
        signal.signal(number, before)


@contextlib.contextmanager
def _raw_mode() -> Iterator[None]:
    if sys.platform == "win32":
        yield
        return
    import termios
    import tty

    before = termios.tcgetattr(0)
    tty.setraw(0, termios.TCSADRAIN)
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
