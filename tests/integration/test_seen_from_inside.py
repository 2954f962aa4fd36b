"""What a program can find out about its own process is the same bare and captured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dsenv import resources
from tests.integration.test_production_file import MINORS, interpreter

# The bare program's standard streams are of the kinds that a captured one's are: pipes.
PROGRAM = """
import _thread, json, os, resource, signal, stat, sys
kinds = {}
for name in os.listdir("/proc/self/fd"):
    try:
        kinds[name] = stat.S_IFMT(os.fstat(int(name)).st_mode)
    except OSError:
        pass  # the one of the listing itself
handlers = {}
for number in sorted(signal.valid_signals()):
    try:
        handlers[number] = repr(signal.getsignal(number))
    except ValueError:
        pass
umask = os.umask(0)
os.umask(umask)
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
facts = {
    "descriptors": kinds,
    "handlers": handlers,
    "mask": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "ignored": status["SigIgn"].strip(),
    "blocked": status["SigBlk"].strip(),
    "umask": umask,
    "limits": {name: resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name.startswith("RLIMIT")},
    "nice": os.getpriority(os.PRIO_PROCESS, 0),
    "killed first": open("/proc/self/oom_score_adj").read(),
    "group": os.getpgrp() == os.getpid(),
    "session": os.getsid(0) == os.getpid(),
    "environment": {name: value for name, value in os.environ.items() if name != "PYTHONHASHSEED"},
    "path": sys.path,
    "argv": sys.argv,
    "orig_argv": getattr(sys, "orig_argv", []),
    "flags": [item for item in zip(dir(sys.flags), map(lambda n: str(getattr(sys.flags, n)), dir(sys.flags)))
              if not item[0].startswith("_") and item[0] not in ("count", "index", "hash_randomization")],
    "folder": os.getcwd(),
    "threads": _thread._count(),
    "recursion": sys.getrecursionlimit(),
    "switch": sys.getswitchinterval(),
    "encodings": [sys.stdout.encoding, sys.stderr.errors, sys.getfilesystemencoding()],
    "hooks": [sys.excepthook is sys.__excepthook__, sys.displayhook is sys.__displayhook__, sys.gettrace(), sys.getprofile()],
    "main": sorted(globals()),
    "niceness of open": [open.__name__, open.__module__, repr(open), os.open.__name__],
}
print(json.dumps(facts))
"""  # noqa: E501 - a program


def seen(command: list[str], folder: Path, environ: dict[str, str]) -> dict[str, Any]:
    done = subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, check=True, input=b"", umask=0o027, timeout=60
    )
    assert done.stderr == b""
    facts: dict[str, Any] = json.loads(done.stdout)
    return facts


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
@pytest.mark.parametrize("minor", MINORS)
def test_a_program_finds_no_trace(minor: str, tmp_path: Path) -> None:
    python = interpreter(minor)
    agent = tmp_path / "agent.pyz"
    agent.write_bytes(resources.agent_archive())
    app = tmp_path / "app"
    app.mkdir()
    (app / "look.py").write_text(PROGRAM)
    environ = {"PATH": os.environ["PATH"], "A": "b", "PYTHONPATH": "/nowhere/in/particular", "LANG": "C.UTF-8"}
    words = [python, "look.py", "-x"]
    bare = seen(words, app, environ)
    capture = [sys.executable, "-I", "-S", str(agent), "capture", "--store", str(tmp_path / "store"), "--"]
    captured = seen([*capture, *words], app, environ)
    assert captured == bare
