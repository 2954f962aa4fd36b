"""A connection that a program makes: its standard input and output are the two directions."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import IO

from dsenv.errors import TransportError

_BLOCK = 1 << 16
_WORDS = 2000  # of what it said last, for a message
_END_SECONDS = 2.0


class Proxy:
    """The running program; `socket` is its other end."""

    def __init__(self, argv: Sequence[str]) -> None:
        """Start it. Raises TransportError when it cannot be started."""
        program = shutil.which(argv[0])
        if program is None:
            raise TransportError(f"{argv[0]}, which leads to the machine, is not installed", hint=f"install {argv[0]}")
        self.socket, inner = socket.socketpair()
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close
        try:
            self._process = self._start([program, *argv[1:]], inner)
        except OSError as error:
            self.socket.close()
            inner.close()
            self._said.close()
            raise TransportError(
                f"{argv[0]}, which leads to the machine, cannot be started: {error.strerror}"
            ) from error

    def words(self) -> str:
        """What it wrote to its standard error last."""
        if self._said.closed:
            return ""
        end = self._said.seek(0, 2)
        self._said.seek(max(0, end - _WORDS))
        return self._said.read().decode("utf-8", "replace").strip()

    def close(self) -> None:
        """End the connection and the program. Safe to repeat."""
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        try:
            self._process.wait(_END_SECONDS)  # it sees the end of its input
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._said.close()

    def _start(self, argv: list[str], inner: socket.socket) -> subprocess.Popen[bytes]:
        if sys.platform == "win32":
            process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said)
            _pump(process, inner)
            return process
        # A session of its own: a Ctrl-C in the terminal is for the command over there, not for the way there.
        end = inner.fileno()
        with inner:
            return subprocess.Popen(argv, stdin=end, stdout=end, stderr=self._said, start_new_session=True)


def _pump(process: subprocess.Popen[bytes], inner: socket.socket) -> None:
    """Where a socket cannot be a program's standard input, two threads carry the bytes."""
    stdin, stdout = process.stdin, process.stdout
    assert stdin is not None
    assert stdout is not None

    def there() -> None:
        with suppress(OSError):
            while data := inner.recv(_BLOCK):
                stdin.write(data)
                stdin.flush()
        with suppress(OSError):
            stdin.close()

    def back() -> None:
        with suppress(OSError):
            while data := os.read(stdout.fileno(), _BLOCK):
                inner.sendall(data)
        with suppress(OSError):
            inner.shutdown(socket.SHUT_RDWR)
        inner.close()
        stdout.close()

    for work in (there, back):
        threading.Thread(target=work, daemon=True, name="proxy").start()
