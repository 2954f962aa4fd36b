"""`agent replay PLAN`: prepares one process for a recorded command and captures it there.

PLAN is a JSON file: `places` [[source, target], ...], `hidden` [path, ...] and `staging` when a mount namespace is to
be used, with `cover`, the folder that gets what is written outside of it; `cwd`, `env`, `umask`, `limits`, and
`capture`, the arguments of the capture.

`limits` has, each when it is to be imposed: `ulimits` {name: [soft, hard]}; `memory` (bytes) with `memory_by`
(cgroup or watch), `memory_kill` (process or group), `peak` and `killed` (files, see `dsenv.agent.replay.memory`);
`quota` (CPUs); `affinity` (a number of processors). `report` is the file that gets a JSON object: `refused`,
[[what, name, why], ...], and `groups`, the control groups that were made. Whoever started this removes those.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any, Dict, List

# What the client understands: the plan could not be set up, so nothing was run.
NOT_PREPARED = 124


def main(arguments: List[str]) -> int:
    """Run a plan; returns the command's exit code, or NOT_PREPARED with the reason on stderr."""
    from dsenv.agent.replay import limits, namespace

    if arguments == ["--probe"]:
        return _probe()
    with open(arguments[0], encoding="utf-8") as file:
        plan = json.load(file)
    wanted: Dict[str, Any] = plan.get("limits", {})
    try:
        groups = _groups(wanted)
        limits.use_processors(int(wanted.get("affinity") or 0))
        if plan.get("staging"):
            namespace.enter()
            _cover(plan, wanted)
            namespace.arrange(plan["staging"], [(s, t) for s, t in plan["places"]], plan["hidden"])
        os.chdir(plan["cwd"])
        os.environ.clear()
        os.environ.update(plan["env"])
    except (namespace.NamespaceError, OSError, ValueError) as error:
        sys.stderr.write("{}\n".format(error))
        return NOT_PREPARED
    _end_with_parent()
    os.umask(plan["umask"])
    counted = _watch_memory(wanted, groups.get("memory", ""))
    from dsenv.agent.capture import command

    return command.main([*counted, *plan["capture"]], limits.preparation(wanted, list(groups.values())))


def _groups(wanted: Dict[str, Any]) -> Dict[str, str]:
    """Make the control groups, by controller, and report it."""
    from dsenv.agent.replay import cgroup

    made: Dict[str, str] = {}
    refused: List[List[str]] = []
    for controller, memory, quota in (("memory", wanted.get("memory"), None), ("cpu", None, wanted.get("quota"))):
        if not quota and (not memory or wanted.get("memory_by") == "watch"):
            continue
        try:
            values = {version: cgroup.settings(version, memory, quota) for version in (1, 2)}
            made[controller] = cgroup.make(controller, values)
        except cgroup.GroupError as error:
            instead = "; imitated by looking at it every 5 ms" if memory else ""
            refused.append(["limits", controller, str(error) + instead])
    if wanted.get("report"):
        with open(wanted["report"], "w", encoding="utf-8") as file:
            json.dump({"groups": list(made.values()), "refused": refused}, file)
    return made


def _cover(plan: Dict[str, Any], wanted: Dict[str, Any]) -> None:
    """Keep what the command writes from the rest of the disk, and report what could not be kept from it."""
    from dsenv.agent.replay import namespace, overlay

    if not plan.get("cover"):
        return
    with open(wanted["report"], encoding="utf-8") as file:
        report = json.load(file)
    try:
        own = [
            plan["cwd"],
            *(plan["env"].get(name, "") for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_DATA_HOME")),
        ]
        left = overlay.cover(plan["cover"], own)
    except (namespace.NamespaceError, OSError) as error:
        report["refused"].append(["folder", "/", "the command may write outside its scratch folder: {}".format(error)])
    else:
        writable = [path for path in left if os.access(path, os.W_OK)]
        if writable:
            note = "not covered, as other file systems are mounted in it: what is written directly there stays"
            report["refused"].append(["folder", " ".join(writable), note])
    with open(wanted["report"], "w", encoding="utf-8") as file:
        json.dump(report, file)


def _watch_memory(wanted: Dict[str, Any], group: str) -> List[str]:
    """Watch the command's memory when that is limited. Returns what capture is told, so that it knows a kill."""
    if not wanted.get("memory"):
        return []
    from dsenv.agent.replay import cgroup, memory

    memory.watch(wanted, group)
    return ["--killed", cgroup.counter(group) if group else str(wanted["killed"])]


def _probe() -> int:
    """Write what this machine allows, as one JSON object. See `dsenv.workflows.reproduce.means`."""
    from dsenv.agent.replay import cgroup, memory, namespace

    limited = "cgroup" if cgroup.available("memory") else "watch" if memory.available() else ""
    found = {
        "namespace": sys.platform == "linux" and namespace.available(),
        "overlay": sys.platform == "linux" and _overlays(),
        "memory": limited,
        "quota": cgroup.available("cpu"),
        "affinity": hasattr(os, "sched_setaffinity"),
    }
    json.dump(found, sys.stdout)
    return 0


def _overlays() -> bool:
    import shutil
    import tempfile

    from dsenv.agent.replay import overlay

    folder = tempfile.mkdtemp(prefix="dsenv-")
    try:
        return overlay.available(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _end_with_parent() -> None:
    """Be told to stop when dsenv is killed: nobody would read the result. See PR_SET_PDEATHSIG in prctl(2)."""
    if sys.platform == "linux":
        import ctypes
        import signal

        ctypes.CDLL(None).prctl(1, int(signal.SIGTERM))
