"""Turns stacks that were seen from outside into what a record says: source lines beside them, and failures."""

from __future__ import annotations

import os
import re
from time import time_ns

from dsenv.agent import moments
from dsenv.agent.capture.blackbox import Seen
from dsenv.agent.light import TYPE_CHECKING
from dsenv.agent.patterns import lazy

if TYPE_CHECKING:
    from typing import Any, Dict, List, Mapping, Sequence

    from dsenv.agent.schema import Failure, FrameDetail

_BEFORE, _AFTER = 6, 4
_LINE, _FILE = 400, 4 << 20
_PICKLED = "<dynamic-code>"  # cloudpickle's name for the file of a function
_STANDARD_LIBRARY = lazy(r"/lib(?:64)?/python3[\d.]*/")


class Sources:
    """Source lines of frames, with each file read once."""

    def __init__(self, root: str, scripts: Sequence[str] = ()) -> None:
        self._root = root.rstrip("/") + "/"
        self._scripts = scripts
        self._lines: Dict[str, List[str]] = {}

    def complete(self, frames: Sequence[FrameDetail], argv: Sequence[str] = ()) -> None:
        """Add source to frames that have none: who wrote them could not open a file, or only knows names.

        `argv` are the arguments of their Python, which may be the source.
        """
        for frame in frames:
            if frame["file"] == _PICKLED:
                frame["file"] = self._script_of(frame)
            file, line = frame["file"], frame["line"]
            if frame.get("source") or not (os.path.isabs(file) or file == "<string>"):
                continue
            lines = self._of(file) if file != "<string>" else _of_words(argv)
            first = max(1, line - _BEFORE)
            frame["first_line"], frame["source"] = first, [text[:_LINE] for text in lines[first - 1 : line + _AFTER]]
            if not frame.get("locals") and (lines or "user" not in frame):
                frame["user"] = self._is_user(file)

    def _script_of(self, frame: FrameDetail) -> str:
        """Which script a function is of that was sent to another process by value: only those of scripts are."""
        name = frame["function"].rpartition(".")[2]
        for script in self._scripts:
            above = self._of(script)[: frame["line"]]
            if any(re.match(r"\s*(?:async )?def {}\b".format(re.escape(name)), text) for text in above):
                return script
        return frame["file"]

    def _of(self, file: str) -> List[str]:
        if file not in self._lines:
            try:
                with open(file, encoding="utf-8", errors="replace") as text:
                    self._lines[file] = text.read(_FILE).split("\n")
            except OSError:
                self._lines[file] = []
        return self._lines[file]

    def _is_user(self, file: str) -> bool:
        """In the project, or at least neither installed nor Python's own."""
        if "/site-packages/" in file or "/dist-packages/" in file:
            return False
        return file.startswith(self._root) or not _STANDARD_LIBRARY.search(file)


def _of_words(argv: Sequence[str]) -> List[str]:
    return argv[argv.index("-c") + 1].split("\n") if "-c" in argv[:-1] else []


def complete(failures: Sequence[Failure], root: str, cwd: str, pythons: Sequence[Mapping[str, Any]]) -> None:
    """Add what is not known yet: the source of frames that have none, and the arguments of their Python.

    `pythons` are the events of the command's Pythons, which began in `cwd`.
    """
    known = {python.get("pid"): python for python in pythons}
    words = [str(word) for python in pythons for word in python.get("argv", [])[1:3]]
    sources = Sources(root, [os.path.join(cwd, word) for word in dict.fromkeys(words) if word.endswith(".py")])
    for failure in failures:
        python = known.get(failure.get("pid"), {})
        if not failure.get("argv"):
            failure["argv"], failure["ppid"] = list(python.get("argv", [])), int(python.get("ppid", 0))
        for error in failure.get("exceptions", []):
            sources.complete(error.get("frames", []), failure["argv"])


def failures(seen: Seen, *, failed: bool, killed: bool) -> List[Failure]:
    """What ended processes that raised nothing: crashes, and where the command was last when it came near its end.

    `failed` is whether the command did, `killed` whether something was, for want of memory.
    """
    found: List[Failure] = []
    counts = {"time-out": seen.sent is not None, "memory": killed}
    for pid, dump in seen.fatal:
        words = (dump.signal or "", dump.reason)
        found += moments.of_stacks(dump.stacks[:1], "fatal", words, pid=pid, when=time_ns() // 1000)
    for entry in moments.last_of_each(seen.entries):
        if failed and counts.get(entry.get("why", ""), True):
            found += moments.of_entry(entry)
    return found
