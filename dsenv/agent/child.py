"""The command of a job as a process: the head of its own session, with default signals and, if asked, a terminal."""

from __future__ import annotations

import fcntl
import signal
import struct
import subprocess
import termios
from typing import Any, Dict, Tuple


def start(spec: Dict[str, Any], environ: Dict[str, str], streams: Tuple[int, int, int]) -> "subprocess.Popen[bytes]":
    """Start `spec`'s argv in its root on the three streams; with "tty" they are a terminal, which it will control.

    Raises OSError when there is no such command or folder, or when it may not be run.
    """
    return subprocess.Popen(
        spec["argv"],
        stdin=streams[0],
        stdout=streams[1],
        stderr=streams[2],
        cwd=spec["root"],
        env=environ,
        start_new_session=True,
        restore_signals=True,
        preexec_fn=_prepare_terminal if spec.get("tty") else _prepare,  # noqa: PLW1509 - there is one thread
    )


def resize(terminal: int, size: Dict[str, Any]) -> None:
    """Set a terminal's size to `size`'s "rows" and "columns"; 24 by 80 where they are missing or 0."""
    rows, columns = int(size.get("rows") or 24), int(size.get("columns") or 80)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def _prepare() -> None:
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)


def _prepare_terminal() -> None:
    _prepare()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
