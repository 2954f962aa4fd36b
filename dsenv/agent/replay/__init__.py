"""Runs a recorded command again with recorded things in their recorded places.

`dsenv.agent.rerun` is the process that prepares (mounts, environment, working folder) and then captures the
command as production did; `install` is called in the command's own Python when no mount namespace could be had,
or to stop in a debugger.
"""

from __future__ import annotations

from typing import Any, Dict


def install(config: Dict[str, Any]) -> None:
    """Prepare this Python for a replay. `config` is what `capture --replay FILE` read.

    Keys: `paths`, a list of [recorded, here] prefixes to redirect; `debug`, true to stop where it fails.
    """
    if config.get("paths"):
        from dsenv.agent.replay import redirect

        redirect.install([(str(old), str(new)) for old, new in config["paths"]])
    if config.get("debug"):
        from dsenv.agent.replay import debugger

        debugger.install(str(config.get("root", "")))
