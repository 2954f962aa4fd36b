"""What this machine lets a reproduction do. Asked once, of processes that try it."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from functools import cache
from typing import Any

from dsenv.agent import fingerprint


@dataclasses.dataclass(frozen=True)
class Means:
    """What can be had here. `memory` is how a limit is imposed: `cgroup`, `watch` (by a process that kills), or not."""

    namespace: bool = False
    memory: str = ""
    quota: bool = False
    affinity: bool = False


@cache
def means() -> Means:
    """What can be had on this machine, in processes of their own."""
    if sys.platform == "win32":
        return Means()
    probe = [sys.executable, "-m", "dsenv.agent", "replay", "--probe"]
    done = subprocess.run(probe, check=False, stdin=subprocess.DEVNULL, capture_output=True)
    return Means(**json.loads(done.stdout)) if done.returncode == 0 else Means()


def here(environ: dict[str, str]) -> dict[str, Any]:
    """The facts of this machine for a process with the variables `environ`, as a record has them."""
    return fingerprint.collect(environ)
