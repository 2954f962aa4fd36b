"""Writes the black box into the store while the run lives, beside those who watch and must not wait for it."""

from __future__ import annotations

import threading

from dsenv.agent import jsontext
from dsenv.agent.capture.evidence import Sources
from dsenv.agent.light import TYPE_CHECKING
from dsenv.agent.redact import Redactor
from dsenv.agent.store.base import StoreWriteError

if TYPE_CHECKING:
    from typing import Callable, List, Optional

    from dsenv.agent.schema import BlackBox

    Put = Callable[[bytes], None]


class BoxLog(threading.Thread):
    """Takes entries and stores all of them anew after each: there are few, and a store keeps a key whole or not.

    It never raises; the first problem is told to `trouble`.
    """

    def __init__(self, redactor: Redactor, root: str, trouble: Callable[[str], None]) -> None:
        super().__init__(name="black box log", daemon=True)
        self._redactor, self._sources, self._trouble = redactor, Sources(root), trouble
        self._put: Optional[Put] = None
        self._then: Optional[Callable[[BlackBox], None]] = None
        self._attached = threading.Event()
        self._changed = threading.Condition()
        self._waiting: List[BlackBox] = []
        self._lines: List[bytes] = []
        self._closed = False
        self._told = False

    def attach(self, put: Optional[Put], then: Optional[Callable[[BlackBox], None]] = None) -> None:
        """From now on the content goes there, None for nowhere, and `then` hears of it. The first one counts."""
        if not self._attached.is_set():
            self._put, self._then = put, then
            self._attached.set()

    def add(self, entry: BlackBox) -> None:
        """Returns at once."""
        import copy

        with self._changed:
            self._waiting.append(copy.deepcopy(entry))
            self._changed.notify()
            if not self.is_alive() and not self._closed:
                self.start()

    def close(self) -> None:
        """Returns when all entries are in the store, or cannot be."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self.attach(None)
        if self.is_alive():
            self.join()

    def run(self) -> None:
        self._attached.wait()
        while True:
            with self._changed:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                entries, self._waiting = self._waiting, []
                closed = self._closed
            if entries:
                self._write(entries)
            elif closed:
                return

    def _write(self, entries: List[BlackBox]) -> None:
        try:
            for entry in entries:
                for stack in entry.get("stacks", []):
                    self._sources.complete(stack.get("frames", []))
                    self._redactor.failure({"exceptions": [{"type": "", "frames": stack.get("frames", [])}]})
                self._lines.append(jsontext.dumps(entry) + b"\n")
            if self._put is not None:
                self._put(b"".join(self._lines))
            if self._then is not None:
                self._then(entries[-1])
        except (StoreWriteError, OSError, ValueError, TypeError, KeyError) as error:
            if not self._told:
                self._told = True
                self._trouble("the black box is not complete: {}".format(error))
