"""The log of what the command wrote: whole lines, redacted, each chunk with its stream and time."""

from __future__ import annotations

import threading
from time import time_ns
from typing import Callable, Dict, List, Optional

from dsenv.agent.redact import HIDDEN, Redactor
from dsenv.agent.schema import OUTPUT_HEADER
from dsenv.agent.store.base import Log, StoreWriteError

_LINE_LIMIT = 1 << 16
_KEPT_LIMIT = 64 << 20
_BEGIN, _END = b"PRIVATE KEY-----", b"-----END"


class _Pending:
    def __init__(self) -> None:
        self.data = bytearray()
        self.time = 0
        self.in_key = False


class OutputLog:
    """Takes bytes as they are forwarded. It never raises: the first problem ends the log and is told to `trouble`.

    The end of a line that is not complete is kept back until it is, or until `idle` or `close`: a secret that was cut
    in two by a buffer would not be seen. `attach` may come later than the first bytes.
    """

    def __init__(self, redactor: Redactor, trouble: Callable[[str], None]) -> None:
        self._redactor = redactor
        self._trouble = trouble
        self._log: Optional[Log] = None
        self._waiting: Optional[List[bytes]] = []
        self._pending: Dict[int, _Pending] = {1: _Pending(), 2: _Pending()}
        self._lock = threading.Lock()
        self._held = 0
        self.size = 0

    def attach(self, log: Optional[Log]) -> None:
        """From now on the log is kept there; None for nowhere."""
        with self._lock:
            waiting, self._waiting = self._waiting or [], None
            self._log = log
            for data in waiting:
                self._put(data)

    def add(self, stream: int, data: bytes) -> None:
        """Bytes that the command wrote to stream 1 or 2."""
        with self._lock:
            pending = self._pending[stream]
            if not pending.data:
                pending.time = time_ns() // 1000
            pending.data += data
            end = pending.data.rfind(b"\n") + 1
            if not end and len(pending.data) >= _LINE_LIMIT:
                end = len(pending.data)
            if end:
                self._emit(stream, pending, end)

    def idle(self) -> None:
        """Nothing has come for a while: keep nothing back."""
        with self._lock:
            self._flush()
            if self._log is not None:
                try:
                    self._log.flush()
                except StoreWriteError as error:
                    self._fail(error)

    def close(self) -> None:
        """The command writes no more."""
        with self._lock:
            self._flush()
            log, self._log = self._log, None
            if log is not None:
                try:
                    log.close()
                except StoreWriteError as error:
                    self._fail(error)

    def _flush(self) -> None:
        for stream, pending in self._pending.items():
            if pending.data:
                self._emit(stream, pending, len(pending.data))

    def _emit(self, stream: int, pending: _Pending, end: int) -> None:
        text = self._clean(bytes(pending.data[:end]), pending)
        del pending.data[:end]
        self._put(OUTPUT_HEADER.pack(stream, pending.time, len(text)) + text)
        pending.time = time_ns() // 1000

    def _clean(self, data: bytes, pending: _Pending) -> bytes:
        if pending.in_key or _BEGIN in data:
            data = self._without_key(data, pending)
        # latin-1 gives every byte back as it was; the patterns are ASCII.
        name = "stdout" if pending is self._pending[1] else "stderr"
        return self._redactor.text(data.decode("latin-1"), "output", name).encode("latin-1")

    def _without_key(self, data: bytes, pending: _Pending) -> bytes:
        """A private key is many lines; they may come one by one."""
        kept = []
        for line in data.splitlines(keepends=True):
            if not pending.in_key and _BEGIN in line and b"BEGIN" in line:
                pending.in_key = True
                kept.append(HIDDEN.encode() + b"\n")
                self._redactor.note("output", "stdout" if pending is self._pending[1] else "stderr", "value")
            elif not pending.in_key:
                kept.append(line)
            if pending.in_key and _END in line:
                pending.in_key = False
        return b"".join(kept)

    def _put(self, data: bytes) -> None:
        if self._waiting is not None:
            self._held += len(data)
            if self._held <= _KEPT_LIMIT:
                self._waiting.append(data)
            return
        if self._log is None:
            return
        try:
            self._log.write(data)
            self.size += len(data)
        except StoreWriteError as error:
            self._fail(error)

    def _fail(self, error: StoreWriteError) -> None:
        self._log = None
        self._trouble("the output is not complete: {}".format(error))
