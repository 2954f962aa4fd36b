"""Runs a recorded command again with recorded things in their recorded places.

`dsenv.agent.rerun` is the process that prepares (limits, mounts, environment, working folder) and then captures the
command as production did; `install` is called in the command's own Python, for what only Python can be told.
"""

from __future__ import annotations

import os
from typing import Any, Dict


def install(config: Dict[str, Any]) -> Dict[str, Any]:
    """Prepare this Python for a replay. `config` is what `capture --replay FILE` read.

    Returns what the modules that watch libraries answer from: `random`, the file with what was drawn, and `objects`;
    and `stop`, which is to be called for each failure.

    Keys: `paths`, a list of [recorded, here] prefixes to redirect; `debug`, true to stop where it fails, see
    `debugger.install`;
    `variables`, which count for the C library and are not the program's, which has `own` ones of that name or
    none; `processors`, see that module; `clock`, microseconds to add to the system's; `listings`, names by folder,
    in the order in which these are listed; `objects`, files with the answers to each call of botocore; `random`.
    """
    if config.get("variables"):
        _set_variables(config["variables"], config.get("own", {}))
    if config.get("processors"):
        from dsenv.agent.replay import processors

        processors.install(config["processors"])
    if config.get("clock"):
        from dsenv.agent.replay import clock

        clock.install(int(config["clock"]))
    if config.get("paths"):
        from dsenv.agent.replay import redirect

        redirect.install([(str(old), str(new)) for old, new in config["paths"]])
    if config.get("listings"):
        from dsenv.agent.replay import listing

        listing.install(config["listings"])
    stop = None
    if config.get("debug"):
        from dsenv.agent.replay import debugger

        stop = debugger.install(config)
    served = None
    if "objects" in config:
        from dsenv.agent.replay import objects

        served = objects.Served(config["objects"])
    return {"random": str(config.get("random", "")), "objects": served, "stop": stop}


def _set_variables(variables: Dict[str, str], own: Dict[str, str]) -> None:
    """Set what the recorded run did not have: for C code, and for programs that inherit the environment."""
    shown: Any = getattr(os.environ, "_data", {})
    for name, value in variables.items():
        os.putenv(name, value)
        if name in own:
            shown[os.fsencode(name)] = os.fsencode(own[name])
        elif shown.get(os.fsencode(name)) == os.fsencode(value):
            del shown[os.fsencode(name)]
    if "TZ" in variables:
        import time

        time.tzset()
