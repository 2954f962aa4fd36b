"""Keeps what a command has read and drawn while it still runs, when it may not come to an end: its black box has begun.

A kernel that ends a whole container, or a machine that goes away, then leaves what a reproduction needs.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from itertools import chain

from dsenv.agent import jsontext
from dsenv.agent.capture import record
from dsenv.agent.capture.spool import Spool
from dsenv.agent.light import TYPE_CHECKING
from dsenv.agent.store import StoreWriteError, Writer

if TYPE_CHECKING:
    from typing import Any, Callable, Dict, List, Optional, Set

    from dsenv.agent.schema import BlackBox, Input

# From then on every page may be the last one, so nothing is begun any more.
NO_ROOM = 0.95
_SMALL = 1 << 20  # bytes; smaller inputs are stored first
_LATER = "not kept yet when this was written"


class Checkpoint(threading.Thread):
    """Writes `random.jsonl` and `inputs.jsonl` beside a command that runs. They are written again when it has ended.

    `seen` gives the inputs that were seen from outside, without those whose paths it is given.
    """

    def __init__(
        self, spool: Spool, writer: Writer, run_id: str, seen: Callable[[Set[str]], List[Dict[str, Any]]]
    ) -> None:
        super().__init__(name="checkpoint", daemon=True)
        self._spool, self._writer, self._run_id, self._seen = spool, writer, run_id, seen
        self._wanted = threading.Event()
        self._over = threading.Event()
        self.kept: Dict[record.Name, Input] = {}  # what is in the store: its copies have been moved there
        self._draws = 0

    def add(self, entry: BlackBox) -> None:
        """Something is in the black box. Returns at once."""
        if entry.get("share", 0) >= NO_ROOM:
            return
        self._wanted.set()
        if not self.is_alive() and not self._over.is_set():
            self.start()

    def close(self) -> None:
        """Stop after the input that is being stored."""
        self._over.set()
        self._wanted.set()
        if self.is_alive():
            self.join()

    def run(self) -> None:
        while self._wanted.wait() and not self._over.is_set():
            self._wanted.clear()
            with suppress(StoreWriteError, OSError, ValueError, TypeError, KeyError):  # it is tried again at the end
                self._write()

    def _write(self) -> None:
        told = record.gather(self._spool.events())
        if len(told.draws) > self._draws:
            self._put("random.jsonl", told.draws)
            self._draws = len(told.draws)
        known = {str(item.get("path")) for item in told.inputs}
        found = list(chain(told.inputs, self._seen(known)))
        new = [item for item in found if record.name_of(item) not in self.kept and self._is_whole(item)]
        new.sort(key=_size)
        small = [item for item in new if _size(item) <= _SMALL]
        self._keep(small)
        self._put_inputs(found)
        if len(small) < len(new):
            step_back()
            self._keep(new[len(small) :])
            self._put_inputs(found)

    def _keep(self, items: List[Dict[str, Any]]) -> None:
        for item in items:
            if self._over.is_set():
                return
            lines, trouble = record.store_inputs([item], self._spool.copies, self._writer)
            if not trouble:
                self.kept[record.name_of(item)] = lines[0]

    def _is_whole(self, item: Dict[str, Any]) -> bool:
        """A stream is copied as it is read."""
        path = os.path.join(self._spool.copies, str(item.get("copy")))
        return not (item.get("call") and item.get("copy")) or os.path.getsize(path) >= _size(item)

    def _put_inputs(self, found: List[Dict[str, Any]]) -> None:
        lines: List[Any] = []
        for item in found:
            plain = {name: value for name, value in item.items() if name not in ("e", "copy", "answer_copy")}
            lines.append(self.kept.get(record.name_of(item)) or dict(plain, note=_LATER))
        self._put("inputs.jsonl", lines)

    def _put(self, name: str, values: List[Any]) -> None:
        if not self._over.is_set():
            data = b"".join(jsontext.dumps(value) + b"\n" for value in values)
            self._writer.put(record.key(self._run_id, name), data)


def step_back() -> None:
    """Let the command have the processor first. On Linux this counts for this thread only."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)


def _size(item: Dict[str, Any]) -> int:
    size: Optional[int] = item.get("size")
    return size or 0
