"""Run ids: they sort by time."""

from __future__ import annotations

import os
import time

_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"


def new() -> str:
    """A new run id: UTC time to the second, microseconds, and four characters that keep it unique."""
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(seconds))
    tail = "".join(_LETTERS[byte & 31] for byte in os.urandom(4))
    return "{}-{:06d}-{}".format(stamp, nanoseconds // 1000, tail)


def day(run_id: str) -> str:
    """The folder of a run's day: yyyy/mm/dd."""
    return "{}/{}/{}".format(run_id[:4], run_id[4:6], run_id[6:8])
