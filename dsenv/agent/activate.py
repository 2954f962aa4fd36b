"""What `activate` does to a shell, done to a mapping: the environment of a command that runs in a prefix."""

from __future__ import annotations

import os
from typing import Dict, Mapping

_DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"


def environ(prefix: str, base: Mapping[str, str]) -> Dict[str, str]:
    """`base` with the environment at `prefix` in front: PATH, VIRTUAL_ENV, and no PYTHONHOME.

    The `bin` of an environment that `base` had active is taken off PATH, so that what this one lacks is
    missing rather than found there.
    """
    values = dict(base)
    former = values.get("VIRTUAL_ENV")
    unwanted = {os.path.join(prefix, "bin")}
    if former:
        unwanted.add(os.path.join(former, "bin"))
    kept = [entry for entry in values.get("PATH", _DEFAULT_PATH).split(os.pathsep) if entry not in unwanted]
    values["PATH"] = os.pathsep.join([os.path.join(prefix, "bin"), *kept])
    values["VIRTUAL_ENV"] = prefix
    for name in ("PYTHONHOME", "VIRTUAL_ENV_PROMPT"):
        values.pop(name, None)
    return values
