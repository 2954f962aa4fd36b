"""Starts a command in the surroundings that a file describes, as a shell would: `stage.py FILE`. Tells how it ended."""

from __future__ import annotations

import fcntl
import json
import os
import resource
import signal
import sys
import termios
from typing import Any


def main() -> None:
    """Start, wait, tell."""
    with open(sys.argv[1], encoding="ascii") as file:
        spec: dict[str, Any] = json.load(file)
    terminal = spec["terminal"]
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    if terminal is not None:
        fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    pid = os.fork()
    if pid == 0:
        try:
            _become(spec)
        finally:
            os._exit(111)
    for handle in {*spec["streams"]} - {None, terminal}:
        os.close(handle)
    _, status = os.waitpid(pid, 0)
    after = None
    if terminal is not None:
        os.tcsetpgrp(terminal, os.getpgrp())
        after = termios.tcgetattr(terminal)
    with open(spec["report"], "w", encoding="ascii") as report:
        json.dump({"status": status, "terminal": repr(after)}, report)


def _become(spec: dict[str, Any]) -> None:
    os.setpgid(0, 0)
    if spec["foreground"]:
        os.tcsetpgrp(spec["terminal"], os.getpgrp())
    high = [handle if handle is None else fcntl.fcntl(handle, fcntl.F_DUPFD, 100) for handle in spec["streams"]]
    os.closerange(0, 100)
    for number, handle in enumerate(high):
        if handle is not None:
            os.dup2(handle, number)
    os.closerange(100, 200)
    for name, value in spec["limits"].items():
        number = getattr(resource, "RLIMIT_" + name)
        resource.setrlimit(number, (value, resource.getrlimit(number)[1]))
    for signal_name in ("SIGPIPE", "SIGXFSZ", "SIGINT", "SIGTTOU"):
        signal.signal(signal.Signals[signal_name], signal.SIG_DFL)
    for signal_name in spec["ignored"]:
        signal.signal(signal.Signals[signal_name], signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, {signal.Signals[name] for name in spec["blocked"]})
    os.umask(spec["umask"])
    os.execvpe(spec["argv"][0], spec["argv"], os.environ)


if __name__ == "__main__":
    main()
