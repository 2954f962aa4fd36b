"""What generators that nobody seeded take from the system: noted when it is drawn, given again on a reproduction.

Nothing is derived or shared: each draw is as much of the system's entropy as the generator would have taken itself.
"""

import os
import sys

TYPE_CHECKING = False  # typing would be loaded into every program
if TYPE_CHECKING:
    from typing import Any, Dict, Iterator, Optional

    from .events import Events
    from .processes import Names

_BYTES = 16 << 20  # of one process that are noted; a seed of Python's generator is 2,496
CRYPTOGRAPHIC = "os.urandom"

# What these draw is for their own ends: names of their files, keys of their connections.
_INTERNAL = (
    *("multiprocessing.", "concurrent.", "asyncio.", "joblib.", "loky.", "tempfile.", "numpy.", "ipykernel."),
    *("jupyter_client.", "zmq.", "botocore.", "urllib3.", "requests.", "email.", "ssl.", "_dsenv_hook."),
)
_BETWEEN = ("uuid", "secrets", "random")

_urandom = os.urandom


class Draws:
    """The draws of this process, by source."""

    def __init__(self, events: "Events", names: "Names", recorded: str) -> None:
        self._events, self._names, self._file = events, names, recorded
        self._begin()

    def _begin(self) -> None:
        self._process = self._names.name
        # Counting with iterators needs no lock, which a fork could leave locked.
        self._numbers: "Dict[str, Iterator[int]]" = {}
        self._left = _BYTES
        self._recorded = _read(self._file, self._process) if self._file else {}

    def take(self, source: str, size: int) -> "Optional[bytes]":
        """`size` bytes of entropy for a generator: those of the recorded run, else new ones.

        None when so many were drawn that no more are noted: the generator seeds itself.
        """
        if self._names.name != self._process:
            self._begin()
        n = next(self._numbers.setdefault(source, iter(range(1 << 60))))
        known = self._recorded.get((source, n))
        value = known if known is not None and len(known) == size else _urandom(size)
        return value if self._note(source, n, value) else known

    def _note(self, source: str, n: int, value: bytes) -> bool:
        self._left -= len(value)
        if self._left < 0:
            if self._left + len(value) >= 0:
                text = "{} drew so much randomness that not all is noted".format(source)
                self._events.write({"e": "trouble", "pid": os.getpid(), "text": text})
            return False
        self._events.write({"e": "draw", "process": self._process, "source": source, "n": n, "value": value.hex()})
        return True

    def used(self) -> None:
        """Cryptographic randomness was used, and is not noted."""
        draw = {"e": "draw", "process": self._names.name, "source": CRYPTOGRAPHIC, "n": 0, "value": ""}
        self._events.write(draw)


def _read(file: str, process: str) -> "Dict[Any, bytes]":
    """What `process` drew in the recorded run, by source and number."""
    import json

    found: "Dict[Any, bytes]" = {}
    with open(file, encoding="ascii") as lines:
        for line in lines:
            draw = json.loads(line)
            if draw["process"] == process and draw["value"]:
                found[draw["source"], draw["n"]] = bytes.fromhex(draw["value"])
    return found


class Urandom:
    """Stands for `os.urandom`. Keys must not be in a record, so values are noted only when that was asked for."""

    def __init__(self, draws: Draws, records: bool) -> None:
        self.__wrapped__ = _urandom
        self._draws, self._records, self._said = draws, records, False
        self.__name__ = self.__qualname__ = _urandom.__name__
        self.__doc__ = _urandom.__doc__
        self.__module__ = _urandom.__module__
        self.__text_signature__ = getattr(_urandom, "__text_signature__", None)

    def __call__(self, size: "Any", /) -> bytes:
        if (self._records or not self._said) and isinstance(size, int) and size > 0 and _is_for_program():
            try:
                if self._records:
                    return self._draws.take(CRYPTOGRAPHIC, size) or _urandom(size)
                self._said = True
                self._draws.used()
            except Exception:  # noqa: BLE001 - the program gets its bytes whatever becomes of our note
                pass
        return _urandom(size)

    def __repr__(self) -> str:
        return repr(_urandom)

    def __reduce__(self) -> str:
        return "urandom"


def _is_for_program() -> bool:
    """Whether the bytes are the program's: not for what a library keeps to itself."""
    frame: "Any" = sys._getframe(2)
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        if name not in _BETWEEN:
            return not (name + ".").startswith(_INTERNAL)
        frame = frame.f_back
    return False


def watch(events: "Events", names: "Names", settings: "Dict[str, str]", recorded: str) -> Draws:
    """Stand before `os.urandom`; the generators of libraries follow when these are imported."""
    draws = Draws(events, names, recorded)
    urandom: "Any" = Urandom(draws, bool(settings.get("entropy")))
    os.urandom = urandom
    return draws
