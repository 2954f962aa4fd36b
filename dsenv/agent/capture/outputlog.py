"""The log of what the command wrote: whole lines, redacted, each chunk with its stream and time."""

from __future__ import annotations

import threading
from time import time_ns

from dsenv.agent.layout import OUTPUT_HEADER
from dsenv.agent.light import TYPE_CHECKING
from dsenv.agent.redact import HIDDEN, Redactor
from dsenv.agent.store.base import Log, StoreWriteError

if TYPE_CHECKING:
    from typing import Callable, Dict, List, Optional, Tuple

    Chunk = Tuple[int, int, bytes]  # stream, time, data

_LINE_LIMIT = 1 << 16
_HELD_LIMIT = 256 << 20
_TAIL = 64 << 10
_IDLE = 0.5
_FLUSH_EVERY = 10  # in units of _IDLE
_NAMES = {1: "stdout", 2: "stderr"}
_BEGIN, _END = b"-----BEGIN", b"-----END"
_PRIVATE = b"PRIVATE KEY-----"


class _Pending:
    """The end of one stream that is not a complete line yet."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.time = 0
        self.in_key = False


class OutputLog(threading.Thread):
    """Takes bytes as they are forwarded and writes them beside, so that neither disk nor network slow the command.

    It never raises: the first problem ends the log and is told to `trouble`. The end of a line that is not complete
    is kept back until it is, or until nothing came for a while: a secret that a buffer cut in two would not be seen.
    """

    def __init__(self, redactor: Redactor, trouble: Callable[[str], None]) -> None:
        super().__init__(name="log", daemon=True)
        self._redactor = redactor
        self._trouble = trouble
        self._log: Optional[Log] = None
        self._attached = threading.Event()
        self._pending: Dict[int, _Pending] = {1: _Pending(), 2: _Pending()}
        self._changed = threading.Condition()
        self._chunks: List[Chunk] = []
        self._held = 0
        self._closed = False
        self._stderr = bytearray()
        self.size = 0

    def attach(self, log: Optional[Log]) -> None:
        """From now on what came and what comes is kept there; None for nowhere."""
        self._log = log
        self._attached.set()

    def attach_if_not(self, log: Optional[Log]) -> None:
        """The same, unless it was done."""
        if not self._attached.is_set():
            self.attach(log)

    def add(self, stream: int, data: bytes) -> None:
        """Bytes that the command wrote to stream 1 or 2. Returns at once."""
        with self._changed:
            if self._held + len(data) > _HELD_LIMIT:
                if self._held <= _HELD_LIMIT:
                    self._trouble("the output is not complete: the store did not take it as fast as it came")
                    self._held = _HELD_LIMIT + 1
                return
            self._held += len(data)
            self._chunks.append((stream, time_ns() // 1000, data))
            self._changed.notify()
            if stream == 2:
                self._stderr += data[-_TAIL:]
                del self._stderr[:-_TAIL]

    def last_of_stderr(self) -> str:
        """The end of what came on stderr, as it came."""
        return self._stderr.decode("utf-8", "replace")

    def close(self) -> None:
        """The command writes no more; returns when all of it is in the store, or cannot be."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self.is_alive():
            self.join()

    def run(self) -> None:
        self._attached.wait()
        try:
            self._write()
        except Exception as problem:  # noqa: BLE001 - a traceback would go to the command's stderr
            self._trouble("the output is not complete: {}: {}".format(type(problem).__name__, problem))

    def _write(self) -> None:
        idle = 0
        while True:
            with self._changed:
                if not self._chunks and not self._closed:
                    self._changed.wait(_IDLE)
                chunks, self._chunks = self._chunks, []
                self._held -= sum(len(data) for _, _, data in chunks)
                closed = self._closed
            for chunk in chunks:
                self._take(*chunk)
            idle = 0 if chunks else idle + 1
            if closed or idle == 1:
                self._take_pending()
            if closed or idle % _FLUSH_EVERY == 1:
                self._guarded(lambda log: log.flush())
            if closed:
                self._guarded(lambda log: log.close())
                return

    def _take(self, stream: int, when: int, data: bytes) -> None:
        pending = self._pending[stream]
        if not pending.data:
            pending.time = when
        pending.data += data
        end = pending.data.rfind(b"\n") + 1
        if not end and len(pending.data) >= _LINE_LIMIT:
            end = len(pending.data)
        if end:
            self._emit(stream, pending, end)
            pending.time = when

    def _take_pending(self) -> None:
        for stream, pending in self._pending.items():
            if pending.data:
                self._emit(stream, pending, len(pending.data))

    def _emit(self, stream: int, pending: _Pending, end: int) -> None:
        data = bytes(pending.data[:end])
        del pending.data[:end]
        if pending.in_key or _PRIVATE in data:
            data = self._without_key(data, stream, pending)
        # latin-1 gives every byte back as it was; the patterns are ASCII.
        text = self._redactor.text(data.decode("latin-1"), "output", _NAMES[stream]).encode("latin-1")
        chunk = OUTPUT_HEADER.pack(stream, pending.time, len(text)) + text
        if self._guarded(lambda log: log.write(chunk)):
            self.size += len(chunk)

    def _without_key(self, data: bytes, stream: int, pending: _Pending) -> bytes:
        """A private key is many lines, and they may come one by one."""
        kept = []
        for line in data.splitlines(keepends=True):
            if not pending.in_key and _BEGIN in line and _PRIVATE in line:
                pending.in_key = True
                kept.append(HIDDEN.encode() + b"\n")
                self._redactor.note("output", _NAMES[stream], "value")
            elif not pending.in_key:
                kept.append(line)
            if pending.in_key and _END in line:
                pending.in_key = False
        return b"".join(kept)

    def _guarded(self, action: Callable[[Log], None]) -> bool:
        if self._log is None:
            return False
        try:
            action(self._log)
        except StoreWriteError as error:
            self._log = None
            self._trouble("the output is not complete: {}".format(error))
            return False
        return True
