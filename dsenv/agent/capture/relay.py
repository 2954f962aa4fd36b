"""Moves bytes between the command and our own streams, unchanged, and gives a copy to the log."""

from __future__ import annotations

import errno
import os
import select
import threading
from time import monotonic

from dsenv.agent.capture.outputlog import OutputLog
from dsenv.agent.capture.spawn import Source
from dsenv.agent.light import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Iterator, List, Optional

_BLOCK = 1 << 16
_SELECTED = 1024  # select(2) takes descriptors below it, and its module loads in no time


def write_all(handle: int, data: bytes) -> None:
    """Write everything, waiting where the reader is slow. Raises OSError, as BrokenPipeError when nobody reads."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(handle, view) :]
        except BlockingIOError:
            import selectors

            with selectors.DefaultSelector() as selector:
                selector.register(handle, selectors.EVENT_WRITE)
                selector.select()


def _readable(handles: List[int], seconds: Optional[float]) -> List[int]:
    """Those that can be read, once there is one, or none when so much time has passed."""
    if max(handles) < _SELECTED:
        return select.select(handles, [], [], seconds)[0]
    import selectors

    with selectors.DefaultSelector() as selector:
        for handle in handles:
            selector.register(handle, selectors.EVENT_READ)
        return [key.fd for key, _ in selector.select(seconds)]


class OutputRelay(threading.Thread):
    """Forwards what comes from the command until all its writers are gone.

    `held` keep its terminals open until it has ended, as whoever started it would.
    """

    def __init__(self, sources: List[Source], held: List[int], log: OutputLog) -> None:
        super().__init__(name="output", daemon=True)
        self._sources = {source.handle: source for source in sources}
        self._held = held
        self.trouble: List[str] = []
        self._log = log
        self._wake_read, self._wake_write = os.pipe()
        self._deadline: Optional[float] = None

    def run(self) -> None:
        while self._sources:
            left = None if self._deadline is None else self._deadline - monotonic()
            if left is not None and left <= 0:
                break
            for handle in _readable([self._wake_read, *self._sources], left):
                if handle == self._wake_read:
                    os.read(handle, 64)
                elif not self._forward(self._sources[handle]):
                    # Closing tells the command that nobody reads any more, as it would have been told by a pipe.
                    os.close(self._sources.pop(handle).handle)

    def _forward(self, source: Source) -> bool:
        try:
            data = os.read(source.handle, _BLOCK)
        except OSError as error:
            return error.errno in (errno.EAGAIN, errno.EINTR)  # EIO: the last user of a PTY closed it
        if not data:
            return False
        delivered = True
        try:
            write_all(source.target, data)
        except OSError as error:
            delivered = False
            if not source.terminal and error.errno != errno.EPIPE:
                self.trouble.append("what the command wrote could not be passed on: {}".format(error.strerror))
        if source.stream:
            self._log.add(source.stream, data)
        return delivered

    def finish(self, seconds: float) -> None:
        """The command has ended: take what is still there, and wait no longer than that for processes it left."""
        self._deadline = monotonic() + seconds
        for handle in self._held:
            os.close(handle)
        os.write(self._wake_write, b".")
        self.join()


def typed_ahead(terminal: int) -> Iterator[bytes]:
    """The lines that were typed already, an end of input as its character: once raw, a terminal has no ends."""
    import termios

    while _readable([terminal], 0):
        try:
            yield os.read(terminal, _BLOCK) or bytes(termios.tcgetattr(terminal)[6][termios.VEOF])
        except (OSError, termios.error):
            return  # it was hung up


class InputRelay(threading.Thread):
    """Passes our standard input on, and keeps the beginning. It is never waited for.

    It reads on only when the command has taken what it was given, so that little is taken from a pipe that others
    read after us.
    """

    def __init__(self, target: int, *, terminal: bool, cap: int) -> None:
        super().__init__(name="input", daemon=True)
        self._target = target
        self._terminal = terminal
        self._cap = cap
        self.kept = bytearray()
        self.size = 0

    def run(self) -> None:
        while True:
            if not self._terminal:
                self._wait_until_taken()
            try:
                data = os.read(0, _BLOCK)
            except OSError:
                break
            if not data:
                break
            self.size += len(data)
            if not self._terminal and len(self.kept) < self._cap:
                self.kept += data[: self._cap - len(self.kept)]
            try:
                write_all(self._target, data)
            except OSError:
                break  # the command reads no more
        if not self._terminal:
            os.close(self._target)

    def _wait_until_taken(self) -> None:
        import array
        import fcntl
        import termios

        waiting = array.array("i", [0])
        pause = threading.Event()
        delay = 0.0005
        while True:
            try:
                fcntl.ioctl(self._target, termios.FIONREAD, waiting)
            except OSError:
                return
            if waiting[0] == 0:
                return
            pause.wait(delay)
            delay = min(delay * 2, 0.05)
