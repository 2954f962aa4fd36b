"""The Docker Engine that the lab runs on: the distribution's package, started when none answers, ended by the last.

Tests of several sessions may share it: each holds a lock while it uses it, and who finds nobody else left ends it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import IO

from tests.lab import locks

PROGRAMS = ("docker", "dockerd", "debootstrap", "iptables", "ip", "nsenter")
_users: list[IO[str]] = []
_daemons: list[subprocess.Popen[bytes]] = []


def obstacle() -> str:
    """Why there can be no lab here; empty when there can."""
    if os.name != "posix" or not Path("/proc/self/ns/net").exists():
        return "no Linux: the test cloud needs network namespaces"
    if os.getuid() != 0:
        return "no root: the test cloud makes a bridge and packet filters"
    missing = [name for name in PROGRAMS if not shutil.which(name)]
    if missing:
        return f"no docker: {', '.join(missing)} missing; apt-get install docker.io debootstrap iptables iproute2"
    return ""


def answers() -> bool:
    return subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0


def use() -> str:
    """Have an engine until this process ends, and start one if none answers. Returns why there is none, or nothing."""
    reason = obstacle()
    if reason:
        return reason
    with locks.held("engine"):
        user = locks.take("engine-users", shared=True)
        if user is None:
            return "no docker: the engine is being ended"
        _users.append(user)
        return "" if answers() else _start()


def leave() -> None:
    """End the engine that tests started, unless somebody else uses it. For the process that outlives the others."""
    while _users:
        _users.pop().close()
    with locks.held("engine"), contextlib.ExitStack() as stack:
        alone = locks.take("engine-users")
        if alone is None:
            return
        stack.callback(alone.close)
        started = _note()
        if started.exists():
            pid, born = json.loads(started.read_text(encoding="utf-8"))
            started.unlink()
            if _born(pid) == born:
                _end(pid)


def _note() -> Path:
    return locks.folder() / "engine.json"


def _start() -> str:
    log = locks.folder() / "dockerd.log"
    # Signals that a shell ignores for its background jobs would stay ignored in every container.
    argv = ["env", "--default-signal", "dockerd", "--log-level", "warn"]
    with log.open("ab") as output:
        daemon = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/", start_new_session=True
        )
    _daemons.append(daemon)
    deadline = time.monotonic() + 60
    while not answers():
        if daemon.poll() is not None or time.monotonic() > deadline:
            said = log.read_text(encoding="utf-8", errors="replace")[-600:]
            return f"no docker: dockerd does not start here: {said}"
        time.sleep(0.2)
    _note().write_text(json.dumps([daemon.pid, _born(daemon.pid)]), encoding="utf-8")
    return ""


def _born(pid: int) -> str:
    """When a process began, in the kernel's ticks: with the pid it names one process for ever. Empty: it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] == "Z" else fields[19]


def _end(pid: int) -> None:
    born = _born(pid)
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 30
    while _born(pid) == born and time.monotonic() < deadline:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        time.sleep(0.1)
