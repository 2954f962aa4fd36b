"""`within.py BYTES COMMAND...`: runs a command as in a container with so much memory, and ends as it does."""

from __future__ import annotations

import os
import signal
import sys

from dsenv.agent.replay import cgroup


def main() -> int:
    """Returns the command's exit code."""
    limits = {version: cgroup.settings(version, int(sys.argv[1]), None) for version in (1, 2)}
    group = cgroup.make("memory", limits)
    child = os.fork()
    if child == 0:
        cgroup.enter(group)
        os.execvp(sys.argv[2], sys.argv[2:])
    _, status = os.waitpid(child, 0)
    cgroup.remove([group])
    if os.WIFSIGNALED(status):
        signal.raise_signal(os.WTERMSIG(status))
    return os.WEXITSTATUS(status)


if __name__ == "__main__":
    sys.exit(main())
