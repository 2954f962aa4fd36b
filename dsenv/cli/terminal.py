"""The terminal of a run: what is typed goes there, what comes back is written here, ^C and resizing included.

termios and its like are imported where they are used: this module must load on every system.
"""

from __future__ import annotations

import contextlib
import errno
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
    from dsenv.events import Cancel
    from dsenv.sync.follow import Control
    from dsenv.transports.base import Pty, Stream

_BLOCK = 1 << 16
_INTERRUPT = b"\x03"
_TWICE_SECONDS = 1.0
_READER_GONE = {errno.EPIPE, errno.EIO}  # of a pipe, of a terminal


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
    """Standard streams as the console of one job, or of several. A `dsenv.sync.follow.Console`."""

    def __init__(
        self,
        *,
        raw: bool,
        stdin: bool,
        stdout_to_stderr: bool = False,
        whole_lines: bool = False,
        detachable: bool = True,
        signals: bool = True,
    ) -> None:
        """`raw`: every key goes to a job that has a terminal, while it lasts. `stdin`: forward standard input.

        `whole_lines`: several jobs write, so no line of one may end up in a line of another. `signals`: ^C goes
        to the job; else it ends us. `detachable`: the second ^C leaves the job running; else all go to it.
        """
        self._raw, self._stdin, self._signals = raw, stdin, signals
        self._whole_lines, self._detachable = whole_lines, detachable
        self._targets: dict[Stream, int] = {"stdout": 2 if stdout_to_stderr else 1, "stderr": 2}
        self._lock = threading.Lock()
        self._partial: dict[tuple[int, Stream], bytes] = {}
        self._controls: list[Control] = []
        self._requests: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._interrupts = 0
        self.detached = False
        self.reader_gone = False

    def write(self, stream: Stream, data: bytes) -> None:
        if self._whole_lines:
            key = (threading.get_ident(), stream)
            whole, newline, rest = (self._partial.pop(key, b"") + data).rpartition(b"\n")
            self._partial[key] = rest
            data = whole + newline
        with self._lock:
            self._put(self._targets[stream], data)

    def _put(self, target: int, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(target, view) :]
        except OSError as error:
            if error.errno not in _READER_GONE:
                raise
            self.reader_gone = True
            for control in self._controls:
                control.detach()

    def attach(self, control: Control) -> None:
        self._controls.append(control)
        raw = self._raw and control.terminal
        if raw:  # not sooner and not longer: ^C is ours before and after, and our lines begin on the left
            undo = contextlib.ExitStack()
            undo.enter_context(_raw_mode())
            control.when_over(undo.close)
            control.resize(*size())
        if self._stdin:
            threading.Thread(target=self._forward, args=(control, raw), daemon=True, name="stdin").start()

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """While the run lasts: ^C and window changes go to the job. All is undone at the end."""
        with contextlib.ExitStack() as stack:
            if self._signals:
                threading.Thread(target=self._pass_on, daemon=True, name="signals").start()
                for name in ("INT", "TERM", "HUP"):
                    stack.enter_context(_handler(name, self._signalled))
                stack.callback(self._requests.put, "")
            if self._raw:
                stack.enter_context(_handler("WINCH", self._requests.put))
            yield
            for (_, stream), rest in self._partial.items():
                self._put(self._targets[stream], rest)

    def say_detached(self, job: str) -> None:
        """Tell how to come back."""
        diagnostics.write(f"detached; the run goes on\n  next: dsenv attach {job}")

    def _signalled(self, name: str) -> None:
        if all(control.over for control in self._controls):
            raise KeyboardInterrupt  # no job runs (yet, or any more): it is meant for us
        self._requests.put(name)

    def _pass_on(self) -> None:
        """Signals to the jobs, from a thread: a signal handler must not wait for a lock."""
        while name := self._requests.get():
            if name == "WINCH":
                for control in self._controls:
                    control.resize(*size())
            elif name == "HUP":
                self._detach()  # the terminal was closed; the run stays
            else:
                self._interrupt(name)

    def _interrupt(self, name: str) -> None:
        self._interrupts += 1
        if self._interrupts > 1 and self._detachable:
            self._detach()
        else:
            for control in self._controls:
                control.signal(name)

    def _detach(self) -> None:
        self.detached = True
        for control in self._controls:
            control.detach()

    def _forward(self, control: Control, raw: bool) -> None:
        last_interrupt = 0.0
        typed = os.isatty(0)
        while True:
            try:
                data = os.read(0, _BLOCK)
            except OSError:
                data = b""
            if not data:
                if raw or (typed and not os.isatty(0)):
                    self._detach()  # the window was closed, which is no end of the input
                else:
                    control.stdin_end()
                return
            if raw and self._detachable and data == _INTERRUPT:
                now = time.monotonic()
                if now - last_interrupt < _TWICE_SECONDS:
                    self._detach()
                    return
                last_interrupt = now
            elif raw:
                last_interrupt = 0.0
            if not control.stdin(data):
                return


@contextlib.contextmanager
def cancelled_by_signals(cancel: Cancel) -> Iterator[None]:
    """^C and TERM are the ordinary end of what goes on until it is ended."""
    with _handler("INT", lambda _: cancel.set()), _handler("TERM", lambda _: cancel.set()):
        yield


@contextlib.contextmanager
def _handler(name: str, action: Callable[[str], None]) -> Iterator[None]:
    number = getattr(signal, f"SIG{name}", None)
    if number is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(_number: int, _frame: FrameType | None) -> None:
        action(name)

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
        with contextlib.suppress(termios.error):  # the window was closed
            termios.tcsetattr(0, termios.TCSADRAIN, before)
