"""Runs commands of dsenv, each in a process of its own that can end itself at a chosen change to a file.

    launcher.py    orders come as JSON lines: words, environ, folder, output, errors, record, kill

Each command is a fork of this process, in which all modules are loaded: that saves a second each time. The answer is a
line with its pid; it begins when the next line comes; the second answer is a line with its exit code, negative for a
signal.

What changes below HOME is counted by an audit hook: files opened for writing, and rename, remove, mkdir, rmdir, chmod,
link, symlink, truncate. `kill: K` ends the process by SIGKILL before the K-th of them, so "after the K-th" is "before
the next", but for the calls of an API in between, which are points of their own. What shutil does is seen as the
changes that it consists of. A folder that is there and is asked for again, and a missing file that is removed, change
nothing and do not count. `record` names a file that gets a line for each change.
"""

from __future__ import annotations

import json
import os
import pkgutil
import re
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# Where the path and, if any, the descriptor of its folder are in an event's arguments.
_EVENTS: dict[str, tuple[int, int | None]] = {
    "os.rename": (1, 3),
    "os.remove": (0, 1),
    "os.mkdir": (0, 2),
    "os.rmdir": (0, 1),
    "os.chmod": (0, 2),
    "os.link": (1, 3),
    "os.symlink": (1, 2),
    "os.truncate": (0, None),
}
RANDOM = re.compile(r"\.[a-z0-9_]{8}$")


class Hook:
    """Counts, records and kills."""

    def __init__(self, home: str, record: str, kill: int) -> None:
        self._home, self._kill, self._count = home, kill, 0
        self._record = os.open(record, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC) if record else None

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if not isinstance(flags, int) or not flags & _WRITING or isinstance(path, int):
                return
            folder = None
        elif event in _EVENTS:
            where, at = _EVENTS[event]
            path, folder = arguments[where], arguments[at] if at is not None else None
        else:
            return
        self._change(event, self._absolute(path, folder))

    def _absolute(self, path: Any, folder: int | None) -> str:
        name = os.fsdecode(path) if not isinstance(path, int) else os.readlink(f"/proc/self/fd/{path}")
        if folder is not None and folder >= 0:
            name = os.path.join(os.readlink(f"/proc/self/fd/{folder}"), name)
        return os.path.abspath(name)

    def _change(self, event: str, path: str) -> None:
        if not path.startswith(f"{self._home}/"):
            return
        if (event == "os.mkdir" and os.path.isdir(path)) or (event == "os.remove" and not os.path.lexists(path)):
            return
        self._count += 1
        if self._count == self._kill:
            os.kill(os.getpid(), signal.SIGKILL)
        if self._record is not None:
            name = RANDOM.sub(".*", os.path.relpath(path, self._home))
            os.write(self._record, f"{event} {name}\n".encode())


def _run(order: dict[str, Any], started: int) -> int:
    """The command, in the process that was forked for it."""
    os.read(started, 1)
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environ"])
    for descriptor, name in ((1, "output"), (2, "errors")):
        file = os.open(order[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, descriptor)
        os.close(file)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    sys.addaudithook(Hook(os.environ["HOME"], order.get("record", ""), order.get("kill", 0)))
    from dsenv.cli.main import main

    code = main(order["words"])
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def _load() -> None:
    """Everything that a command may import."""
    import dsenv.cli.main
    import dsenv.providers
    import dsenv.workflows

    for name in ("boto3.session", "botocore.client", "docker", "paramiko"):
        import_module(name)
    dsenv.cli.main.build()
    for package in (dsenv.workflows, dsenv.providers):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if Path(found.module_finder.path).name != "local":  # type: ignore[union-attr]
                import_module(found.name)


def main() -> int:
    _load()
    for line in sys.stdin:
        order = json.loads(line)
        started, start = os.pipe()
        pid = os.fork()
        if pid == 0:
            code = 70
            try:
                os.close(start)
                code = _run(order, started)
            finally:
                os._exit(code)
        os.close(started)
        print(json.dumps({"pid": pid}), flush=True)
        sys.stdin.readline()
        os.write(start, b"x")
        os.close(start)
        print(json.dumps({"code": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
