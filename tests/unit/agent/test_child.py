from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dsenv.agent import child


def _start(root: Path, code: str, streams: tuple[int, int, int], **spec: Any) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-c", code]
    return child.start({"argv": argv, "root": str(root), **spec}, dict(os.environ), streams)


def test_the_command_leads_a_session_in_its_root_with_default_signals(tmp_path: Path) -> None:
    code = "import os, signal; print(os.getsid(0) == os.getpid(), os.getcwd(), signal.getsignal(signal.SIGHUP).name)"
    read, write = os.pipe()
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with open(os.devnull, "rb") as nothing:
            process = _start(tmp_path, code, (nothing.fileno(), write, write))
        os.close(write)
        with open(read, encoding="utf-8") as output:
            assert output.read().split() == ["True", str(tmp_path.resolve()), "SIG_DFL"]
        assert process.wait(10) == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_with_a_terminal_the_command_controls_it_and_is_told_of_a_new_size(tmp_path: Path) -> None:
    master, slave = os.openpty()
    child.resize(master, {"rows": 50, "columns": 132})
    code = (
        "import os, signal, sys\n"
        # Blocked until it is waited for: the new size may come before the wait does.
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGWINCH])\n"
        "print(os.tcgetpgrp(0) == os.getpid(), *os.get_terminal_size(), flush=True)\n"
        "signal.sigwait([signal.SIGWINCH])\n"
        "print(*os.get_terminal_size(), flush=True)\n"
    )
    process = _start(tmp_path, code, (slave, slave, slave), tty=True)
    os.close(slave)
    assert os.read(master, 100).split() == [b"True", b"132", b"50"]
    child.resize(master, {"rows": 0})
    assert os.read(master, 100).split() == [b"80", b"24"]
    assert process.wait(10) == 0
    os.close(master)


def test_a_command_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        child.start({"argv": ["/no/such/command"], "root": str(tmp_path)}, {}, (0, 1, 2))
