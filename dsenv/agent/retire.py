"""Ends a workstation that is a folder on somebody's machine: its jobs first, then its files. Nothing else is touched.

As a verb: `retire FOLDER ID`, where FOLDER holds `dsenv.json`, the marker that says that it is the workstation ID.
Exit code 1 with one line on standard error when it is not, or when something in it cannot be removed.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import sys
import time
from typing import Any, List

from dsenv.agent import detached, jobs, protocol

MARKER = "dsenv.json"
_GRACE_SECONDS = 5.0


class RetireError(Exception):
    """The folder was left as it is, or in part."""


def retire(folder: str, identity: str) -> None:
    """End what runs in the workstation and remove its folder; the marker goes last. Raises RetireError."""
    check(folder, identity)
    end_jobs(os.path.join(folder, "home", ".dsenv"))
    try:
        for name in sorted(os.listdir(folder), key=lambda name: name == MARKER):
            _remove(os.path.join(folder, name))
        os.rmdir(folder)
    except OSError as error:
        raise RetireError("cannot remove {}: {}".format(error.filename, error.strerror)) from error


def check(folder: str, identity: str) -> None:
    """Raises RetireError unless the folder is the workstation that is meant, and the caller's own."""
    try:
        facts = os.lstat(folder)
        with open(os.path.join(folder, MARKER), encoding="utf-8") as source:
            marker = json.load(source)
    except (OSError, ValueError) as error:
        raise RetireError("{} is no workstation: {}".format(folder, error)) from error
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid():
        raise RetireError("{} is a link, or somebody else's".format(folder))
    if os.path.basename(folder) != identity or not isinstance(marker, dict) or marker.get("id") != identity:
        raise RetireError("{} is not the workstation {}".format(folder, identity))


def end_jobs(state: str) -> None:
    """Ask all jobs to end, and make those end that do not."""
    for name in ("TERM", "KILL"):
        running = jobs.running(state)
        for job in running:
            connection = detached.connect(job)
            if connection is not None:
                with connection, contextlib.suppress(OSError):
                    connection.sendall(protocol.encode_json(protocol.SIGNAL, {"name": name}))
        deadline = time.monotonic() + _GRACE_SECONDS
        while time.monotonic() < deadline and any(job.status() == jobs.RUNNING for job in running):
            time.sleep(0.02)
    for job in jobs.listing(state):
        job.end_command()


def _remove(path: str) -> None:
    """Links are removed and never followed; folders that were closed to us are opened."""
    if os.path.islink(path) or not os.path.isdir(path):
        os.unlink(path)
        return

    def opened(function: Any, place: str, problem: Any) -> None:
        parent = os.path.dirname(place)
        for folder in (parent, place):
            if not os.path.islink(folder) and os.path.isdir(folder):
                os.chmod(folder, 0o700)
        if os.path.isdir(place) and not os.path.islink(place):
            shutil.rmtree(place)
        else:
            os.unlink(place)

    shutil.rmtree(path, onerror=opened)


def main(arguments: List[str]) -> int:
    """The verb."""
    if len(arguments) != 2:
        sys.stderr.write("usage: agent retire FOLDER ID\n")
        return 2
    os.chdir("/")
    try:
        retire(*arguments)
    except RetireError as error:
        sys.stderr.write("{}\n".format(error))
        return 1
    return 0
