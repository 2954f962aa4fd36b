"""How a job's command is started: which environment it sees, and that `capture` stands in front of it."""

from __future__ import annotations

import os
import sys
from typing import Any, Dict, List, Mapping

from dsenv.agent import activate

# Facts of the connection that asked for the job, which mean nothing to it.
_CONNECTION = ("SSH_CLIENT", "SSH_CONNECTION", "SSH_TTY", "SSH_ORIGINAL_COMMAND")


def environment(request: Mapping[str, Any], base: Mapping[str, str]) -> Dict[str, str]:
    """The variables of a job: the workstation's own, the environment in front, then what the user sends."""
    values = {name: value for name, value in base.items() if name not in _CONNECTION}
    prefix = request.get("prefix")
    if prefix:
        values = activate.environ(str(prefix), values)
    if request.get("tty"):
        values["TERM"] = str(request.get("term") or "xterm-256color")
    values.update({str(name): str(value) for name, value in dict(request.get("env") or {}).items()})
    return values


def command(request: Mapping[str, Any], root: str) -> List[str]:
    """The argv of a job: the user's, behind `capture` so that it leaves a record, unless the request has no store."""
    argv = [str(word) for word in request["argv"]]
    store = request.get("store")
    if not store:
        return argv
    options = ["--kind", "development", "--run-id", str(request["job"]), "--root", root, "--store", str(store)]
    for name in ("task", "project"):
        if request.get(name):
            options += ["--" + name, str(request[name])]
    return [*_agent(), "capture", "--group-signals", *options, "--", *argv]


def _agent() -> List[str]:
    """This agent, to be started again."""
    archive = os.path.abspath(sys.argv[0])
    if archive.endswith(".pyz"):
        return [sys.executable, "-I", "-S", archive]
    return [sys.executable, "-m", "dsenv.agent"]
