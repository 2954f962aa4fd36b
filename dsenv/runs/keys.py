"""Names inside a store. Every id and digest is checked here before it becomes part of a key."""

from __future__ import annotations

import calendar
import re
import time

from dsenv.errors import RecordError, UsageError

RUN_ID = re.compile(r"\d{8}T\d{6}-\d{6}-[a-z2-7]{4}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


def day(run_id: str) -> str:
    """`yyyy/mm/dd` of a run, in UTC. Raises UsageError for what is not the id of a run."""
    if not RUN_ID.fullmatch(run_id):
        raise UsageError(f"{run_id} is not the id of a run", hint="list them with `dsenv runs`")
    return f"{run_id[:4]}/{run_id[4:6]}/{run_id[6:8]}"


def started(run_id: str) -> int:
    """When a run was started, by its id: microseconds since the epoch. Raises UsageError for what is not an id."""
    day(run_id)
    stamp, microseconds = run_id[:15], run_id[16:22]
    try:
        return calendar.timegm(time.strptime(stamp, "%Y%m%dT%H%M%S")) * 1_000_000 + int(microseconds)
    except ValueError as error:
        raise UsageError(f"{run_id} is not the id of a run", hint="list them with `dsenv runs`") from error


def record(run_id: str, name: str = "") -> str:
    """The key of a file of a record, or the prefix of all of them."""
    return f"runs/{day(run_id)}/{run_id}/{name}"


def blob(digest: str) -> str:
    """The key of a blob. Raises RecordError for what is not a SHA-256 in hexadecimal."""
    if not _DIGEST.fullmatch(digest):
        raise RecordError(f"{digest[:80]!r} is not a SHA-256 digest", hint="the record was changed")
    return f"blobs/sha256/{digest[:2]}/{digest}"


def index(day_: str, status: str, run_id: str = "") -> str:
    """The key of an index entry, or the prefix of a day's entries of one status."""
    return f"index/{day_}/{status}/" + (f"{run_id}.json" if run_id else "")
