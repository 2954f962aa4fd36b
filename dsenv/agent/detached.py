"""Start a job's supervisor so that it outlives us, and find it again."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import sys
import time
import traceback
from typing import Any, Dict, Optional

from dsenv.agent.jobs import RUNNING, Job
from dsenv.agent.supervisor import Supervisor

_CONNECT_SECONDS = 10.0


def start(job: Job, spec: Dict[str, Any], environ: Dict[str, str]) -> None:
    """Start a job's supervisor and return when it can be followed. Raises OSError when it could not start.

    `spec`: argv (list), root (working folder), tty (bool), rows, columns, stdin (bool: forwarded, else empty),
    session (seconds that it lives with no follower; for ever without it).
    """
    reader, writer = os.pipe()
    if os.fork() == 0:
        _become(job, spec, environ, reader, writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as ready:
        answer = ready.read()
    os.wait()
    if answer != b"ok":
        raise OSError(errno.EIO, answer.decode("utf-8", "replace") or "the job's supervisor died at its start")


def _become(job: Job, spec: Dict[str, Any], environ: Dict[str, str], reader: int, writer: int) -> None:
    """In the forked child: leave the session, close what was inherited, supervise, never return."""
    status = 1
    try:
        os.setsid()
        if os.fork():
            os._exit(0)
        null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        os.dup2(writer, 3)
        os.closerange(4, _highest_descriptor())
        os.set_inheritable(3, False)
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE):
            signal.signal(number, signal.SIG_IGN)
        Supervisor(job, spec, environ).run(3)
        status = 0
    except OSError as error:
        with contextlib.suppress(OSError):  # nobody may wait any more
            os.write(3, str(error).encode())
    finally:
        if sys.exc_info()[0] is not None:  # a bug: nothing prints it, because nothing may outlive this
            with contextlib.suppress(OSError), open(os.path.join(job.folder, "trouble"), "w") as out:
                traceback.print_exc(file=out)
        os._exit(status)


def _highest_descriptor() -> int:
    try:
        return max(int(name) for name in os.listdir("/proc/self/fd")) + 1
    except (OSError, ValueError):
        return min(os.sysconf("SC_OPEN_MAX"), 1 << 16)


def connect(job: Job) -> Optional[socket.socket]:
    """A connection to a running job's supervisor; None when the job is over. Changes the working folder."""
    deadline = time.monotonic() + _CONNECT_SECONDS
    while True:
        connection = socket.socket(socket.AF_UNIX)
        try:
            os.chdir(job.folder)
            connection.connect("socket")
        except OSError:
            connection.close()
            if job.status() != RUNNING or time.monotonic() > deadline:
                return None
            time.sleep(0.02)
        else:
            return connection
