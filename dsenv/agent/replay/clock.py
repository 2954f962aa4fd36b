"""Moves the clock that a Python program reads, by a fixed number of microseconds.

What compiled code and other programs ask of the system is not moved. `datetime.datetime` stays the class that it is,
so that values are pickled and compared as ever: two of its methods are replaced in place.
"""

from __future__ import annotations

import ctypes
import datetime
import gc
import time
from typing import Any, Callable, Optional

from dsenv.agent.replay.redirect import OWN

_REAL_TIME_NS = time.time_ns


def install(offset: int) -> None:
    """Let this Python's clock be `offset` microseconds ahead of the system's, or behind it when negative."""
    shift = offset * 1000

    def time_ns() -> int:
        return _REAL_TIME_NS() + shift

    def seconds() -> float:
        return time_ns() / 1e9

    _replace(time, "time", seconds)
    _replace(time, "time_ns", time_ns)
    for name in ("localtime", "gmtime", "ctime"):
        _replace(time, name, _with_default(getattr(time, name), seconds))
    local = time.localtime
    real_asctime, real_strftime = time.asctime, time.strftime
    _replace(time, "asctime", lambda *given: real_asctime(*(given or (local(),))))
    _replace(time, "strftime", lambda text, *given: real_strftime(text, *(given or (local(),))))
    _replace_clocks(shift)
    _replace_datetime(time_ns)


def _with_default(real: Callable[..., Any], seconds: Callable[[], float]) -> Callable[..., Any]:
    def moved(when: Optional[float] = None, /) -> Any:
        return real(seconds() if when is None else when)

    return moved


def _replace_clocks(shift: int) -> None:
    real, real_ns = getattr(time, "clock_gettime", None), getattr(time, "clock_gettime_ns", None)
    if real is None or real_ns is None:
        return
    wall = time.CLOCK_REALTIME
    _replace(time, "clock_gettime_ns", lambda which, /: real_ns(which) + (shift if which == wall else 0))
    _replace(time, "clock_gettime", lambda which, /: real(which) + (shift / 1e9 if which == wall else 0))


def _replace(module: Any, name: str, function: Any) -> None:
    real = getattr(module, name)
    function.__name__ = function.__qualname__ = name
    function.__doc__ = real.__doc__
    function.__module__ = module.__name__
    function.__code__ = function.__code__.replace(co_filename=OWN)
    setattr(module, name, function)


_EPOCH = datetime.datetime(1970, 1, 1)
_UTC_EPOCH = _EPOCH.replace(tzinfo=datetime.timezone.utc)


def _replace_datetime(time_ns: Callable[[], int]) -> None:
    def elapsed() -> datetime.timedelta:
        return datetime.timedelta(microseconds=time_ns() // 1000)

    def now(cls: Any, tz: Optional[datetime.tzinfo] = None) -> Any:
        if tz is None:
            seconds, rest = divmod(time_ns() // 1000, 1_000_000)
            return cls.fromtimestamp(seconds).replace(microsecond=rest)
        if not isinstance(tz, datetime.tzinfo):
            raise TypeError(
                "tzinfo argument must be None or of a tzinfo subclass, not type {!r}".format(type(tz).__name__)
            )
        return _as(cls, (_UTC_EPOCH + elapsed()).astimezone(tz))

    def utcnow(cls: Any) -> Any:
        return _as(cls, _EPOCH + elapsed())

    for function in (now, utcnow):
        function.__code__ = function.__code__.replace(co_filename=OWN)
        function.__qualname__ = "datetime." + function.__name__
        # A class of C has no attribute that can be set; its dictionary can be written.
        gc.get_referents(vars(datetime.datetime))[0][function.__name__] = classmethod(function)
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(datetime.datetime))


def _as(cls: Any, value: datetime.datetime) -> Any:
    if cls is datetime.datetime:
        return value
    parts = (value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond)
    return cls(*parts, tzinfo=value.tzinfo, fold=value.fold)
