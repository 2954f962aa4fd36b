"""`agent replay PLAN`: prepares one process for a recorded command and captures it there.

PLAN is a JSON file: `places` [[source, target], ...], `hidden` [path, ...] and `staging` when a mount
namespace is to be used, `cwd`, `env`, `umask`, and `capture`, the arguments of the capture.
"""

from __future__ import annotations

import json
import os
import sys
from typing import List

# What the client understands: the plan could not be set up, so nothing was run.
NOT_PREPARED = 124


def main(arguments: List[str]) -> int:
    """Run a plan; returns the command's exit code, or NOT_PREPARED with the reason on stderr."""
    from dsenv.agent.replay import namespace

    if arguments == ["--probe"]:
        return 0 if namespace.available() else 1
    with open(arguments[0], encoding="utf-8") as file:
        plan = json.load(file)
    try:
        if plan.get("staging"):
            namespace.arrange(plan["staging"], [(s, t) for s, t in plan["places"]], plan["hidden"])
        os.chdir(plan["cwd"])
        os.environ.clear()
        os.environ.update(plan["env"])
    except (namespace.NamespaceError, OSError, ValueError) as error:
        sys.stderr.write("{}\n".format(error))
        return NOT_PREPARED
    _end_with_parent()
    os.umask(plan["umask"])
    from dsenv.agent.capture import command

    return command.main(plan["capture"])


def _end_with_parent() -> None:
    """Be told to stop when dsenv is killed: nobody would read the result. See PR_SET_PDEATHSIG in prctl(2)."""
    if sys.platform == "linux":
        import ctypes
        import signal

        ctypes.CDLL(None).prctl(1, int(signal.SIGTERM))
