"""Moves bytes between the command and our own streams, unchanged, and gives a copy to the log."""

from __future__ import annotations

import errno
import os
import select
import threading
from contextlib import suppress
from time import monotonic

from dsenv.agent.capture.outputlog import OutputLog
from dsenv.agent.capture.spawn import Source
from dsenv.agent.light import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Iterator, List, Optional, Set

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


def readable(handles: List[int], seconds: Optional[float]) -> List[int]:
    """Those that can be read, once there is one, or none when so much time has passed."""
    if max(handles, default=0) < _SELECTED:
        return select.select(handles, [], [], seconds)[0]
    import selectors

    with selectors.DefaultSelector() as selector:
        for handle in handles:
            selector.register(handle, selectors.EVENT_READ)
        return [key.fd for key, _ in selector.select(seconds)]


def writable(handle: int) -> bool:
    """Whether something can be written at once, or fails at once."""
    return handle < _SELECTED and bool(select.select([], [handle], [], 0)[1])


def let_go(handle: int) -> None:
    """Close a standard stream of ours; its number is not for other files."""
    with suppress(OSError):
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, handle, inheritable=False)
        os.close(nothing)


def _pipes(handles: Set[int], own: int) -> Set[int]:
    """Those that are pipes without a name: one that was left by its readers gets no other.

    `own` is such a pipe, made by us.
    """
    if not hasattr(select, "poll"):
        return set()
    device = os.fstat(own).st_dev
    return {handle for handle in handles if os.fstat(handle).st_dev == device}


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
        self._pipes = _pipes({source.target for source in sources}, self._wake_read)

    def run(self) -> None:
        while self._sources:
            left = None if self._deadline is None else self._deadline - monotonic()
            if left is not None and left <= 0:
                break
            ready = self._ready(left)
            for handle in ready:
                if handle == self._wake_read:
                    os.read(handle, 64)
                elif handle in self._sources and not self._forward(self._sources[handle]):
                    self._end(handle)
            for handle in [known for known, source in self._sources.items() if source.target in ready]:
                # Nobody reads any more. What is still there is for the log.
                if not readable([handle], 0) or not self._forward(self._sources[handle]):
                    self._end(handle)

    def _ready(self, left: Optional[float]) -> Set[int]:
        """Sources that can be read, and targets that nobody reads."""
        handles = [self._wake_read, *self._sources]
        targets = {source.target for source in self._sources.values() if source.target in self._pipes}
        if not targets:
            return set(readable(handles, left))
        poll = select.poll()
        for handle in targets:
            poll.register(handle, 0)
        for handle in handles:
            poll.register(handle, select.POLLIN)
        return {handle for handle, _ in poll.poll(None if left is None else left * 1000)}

    def _end(self, handle: int) -> None:
        """Tell the command that nobody reads any more, or whoever reads what it wrote that no more comes: as by a
        pipe between the two."""
        source = self._sources.pop(handle)
        os.close(handle)
        for number in source.ends:
            let_go(number)

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

    while readable([terminal], 0):
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
            if not self._terminal and not self._is_wanted():
                break
            try:
                data = os.read(0, _BLOCK)
            except BlockingIOError:
                readable([0], None)
                continue
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
            let_go(0)  # who writes to us is told, as the command's own standard input would tell it

    def _is_wanted(self) -> bool:
        """Wait until there is input and the command has taken what it was given. False when it reads no more."""
        if not hasattr(select, "poll"):
            self._wait_until_taken()
            return True
        poll = select.poll()
        poll.register(self._target, 0)
        if not self._wait_until_taken(poll):
            return False
        poll.register(0, select.POLLIN)
        return self._target not in dict(poll.poll())

    def _wait_until_taken(self, reader: Optional[select.poll] = None) -> bool:
        """False when `reader` says that nobody is there to take it."""
        import array
        import fcntl
        import termios

        waiting = array.array("i", [0])
        pause = threading.Event()
        delay = 0.0005
        while True:
            if reader is not None and reader.poll(0):
                return False
            try:
                fcntl.ioctl(self._target, termios.FIONREAD, waiting)
            except OSError:
                return True
            if waiting[0] == 0:
                return True
            pause.wait(delay)
            delay = min(delay * 2, 0.05)
