"""A person at a terminal: waits for what is shown, and types."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from tests.measuring import unmeasured


class Terminal:
    """A command on a terminal of its own, 100 columns wide. `shown` is all that it wrote."""

    def __init__(self, command: list[str], folder: Path) -> None:
        self._master, slave = pty.openpty()
        words = [sys.executable, "-c", _LEADER, *command]
        env = unmeasured()
        self._process = subprocess.Popen(
            words, stdin=slave, stdout=slave, stderr=slave, cwd=folder, env=env | {"TERM": "xterm"}
        )
        os.close(slave)
        self.shown = ""
        self._seen = 0

    def until(self, text: str, seconds: float = 60) -> str:
        """Wait for a text; returns what was shown up to it since the last call."""
        deadline = time.monotonic() + seconds
        while text not in self.shown[self._seen :]:
            assert time.monotonic() < deadline, f"never saw {text!r} in: {self.shown}"
            assert self._read(), f"it ended without {text!r}: {self.shown}"
        end = self.shown.index(text, self._seen) + len(text)
        found = self.shown[self._seen : end]
        self._seen = end
        return found

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def ended(self, seconds: float = 60) -> int:
        """Wait for the end; returns the exit code."""
        deadline = time.monotonic() + seconds
        while self._read():
            assert time.monotonic() < deadline, self.shown
        return self._process.wait(timeout=seconds)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._master)

    def _read(self) -> bool:
        """Whether there may be more."""
        if not select.select([self._master], [], [], 0.2)[0]:
            return True
        data = b""
        with suppress(OSError):
            data = os.read(self._master, 65536)
        self.shown += data.decode("utf-8", "replace")
        return bool(data)


_LEADER = (
    "import fcntl, os, struct, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    "fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack('HHHH', 30, 100, 0, 0)); os.execvp(sys.argv[1], sys.argv[1:])"
)
