"""A control group with the recorded limits, where we may make one: version 1 or 2, as root or by delegation.

See cgroups(7). The command enters the group; what records it stays outside, because the kernel, when it has killed
the command and its memory is not free yet, kills whoever is left. Who started the reproduction removes the group.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Dict, Iterator, List, NamedTuple, Optional

PREFIX = "dsenv-reproduction-"
_PERIOD = 100_000  # microseconds of CPU accounting


class GroupError(Exception):
    """No group can be had here; why."""


class Place(NamedTuple):
    """A folder in which a group may be made. `version` is that of the hierarchy."""

    folder: str
    version: int


def places(controller: str, proc: str = "/proc/self") -> Iterator[Place]:
    """Where a group with this controller may be made: in our own group, else in the ones around it."""
    member = _membership(proc + "/cgroup")
    with suppress(OSError), open(proc + "/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            before, _, after = line.partition(" - ")
            root, point = before.split()[3:5]
            kind, _, options = after.split()[:3]
            if kind == "cgroup" and controller in options.split(","):
                yield from (Place(folder, 1) for folder in _upwards(point, root, member.get(controller, "/")))
            elif kind == "cgroup2":
                for folder in _upwards(point, root, member.get("", "/")):
                    if controller in _read(os.path.join(folder, "cgroup.subtree_control")).split():
                        yield Place(folder, 2)


def _membership(file: str) -> Dict[str, str]:
    """Controller to the path of our group; the empty name is that of version 2."""
    found: Dict[str, str] = {}
    for line in _read(file).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        found.update((name, path) for name in controllers.split(","))
    return found


def _upwards(point: str, root: str, path: str) -> Iterator[str]:
    below = os.path.relpath(path, root) if path.startswith(root) else "."
    folder = os.path.normpath(os.path.join(point, below))
    while os.path.isdir(folder) and (folder + "/").startswith(point.rstrip("/") + "/"):
        yield folder
        folder = os.path.dirname(folder)


def _read(file: str) -> str:
    try:
        with open(file, encoding="utf-8", errors="surrogateescape") as stream:
            return stream.read(1 << 20)
    except OSError:
        return ""


def settings(version: int, memory: Optional[int], quota: Optional[float]) -> Dict[str, str]:
    """File to what is written to it. Swap is off, as in most of production: it would only delay a kill."""
    if memory:
        value = str(memory)
        if version == 1:
            return {"memory.limit_in_bytes": value, "memory.memsw.limit_in_bytes": value, "memory.swappiness": "0"}
        return {"memory.max": value, "memory.swap.max": "0"}
    if quota:
        share = str(max(1000, int(quota * _PERIOD)))
        if version == 1:
            return {"cpu.cfs_period_us": str(_PERIOD), "cpu.cfs_quota_us": share}
        return {"cpu.max": "{} {}".format(share, _PERIOD)}
    return {}


_ESSENTIAL = ("memory.limit_in_bytes", "memory.max", "cpu.cfs_quota_us", "cpu.max")


def make(controller: str, values: Dict[int, Dict[str, str]], proc: str = "/proc/self") -> str:
    """Make a group with the given settings (by version) that children of this process may enter; returns its folder.

    Raises GroupError.
    """
    reason = "this system has no control groups for {}".format(controller)
    for place in places(controller, proc):
        folder = os.path.join(place.folder, "{}{}".format(PREFIX, os.getpid()))
        remove(_abandoned(place.folder))
        try:
            with suppress(FileExistsError):  # made for another controller: version 2 has one tree for all
                os.mkdir(folder)
        except OSError as error:
            reason = "no control group may be made: {}".format(error.strerror)
            continue
        try:
            for name, value in values[place.version].items():
                _set(os.path.join(folder, name), value)
            _try_to_enter(folder)
        except OSError as error:
            reason = "a control group may not be used: {}".format(error.strerror)
            remove([folder])
            continue
        return folder
    raise GroupError(reason)


def enter(folder: str) -> None:
    """Put this process into a group. Raises OSError."""
    _write(os.path.join(folder, "cgroup.procs"), str(os.getpid()))


def _try_to_enter(folder: str) -> None:
    """Let a child enter, and end. Raises OSError when it may not."""
    child = os.fork()
    if child == 0:
        number = 0
        try:
            enter(folder)
        except OSError as error:
            number = min(error.errno or 255, 255)
        finally:
            os._exit(number)
    number = os.WEXITSTATUS(os.waitpid(child, 0)[1])
    if number:
        raise OSError(number, os.strerror(number))


def _abandoned(folder: str) -> List[str]:
    """Groups whose maker is gone: it was killed before it could remove them."""
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    owners = {name: name[len(PREFIX) :] for name in names if name.startswith(PREFIX)}
    return [
        os.path.join(folder, name) for name, pid in owners.items() if not os.path.exists("/proc/" + (pid or "self"))
    ]


def _set(file: str, value: str) -> None:
    try:
        _write(file, value)
    except OSError:
        if os.path.basename(file) in _ESSENTIAL:
            raise


def _write(file: str, value: str) -> None:
    handle = os.open(file, os.O_WRONLY)  # never made when it is not there
    try:
        os.write(handle, value.encode("ascii"))
    finally:
        os.close(handle)


def members(folder: str) -> List[int]:
    """The processes of a group."""
    return [int(word) for word in _read(os.path.join(folder, "cgroup.procs")).split()]


def kills(folder: str) -> int:
    """How many processes the kernel has killed in a group for want of memory."""
    for line in _read(counter(folder)).splitlines():
        if line.startswith("oom_kill "):
            return int(line.split()[1])
    return 0


def remove(folders: List[str]) -> List[str]:
    """Remove groups that have no process any more. Returns those that are still in use."""
    left = []
    for folder in folders:
        try:
            os.rmdir(folder)
        except FileNotFoundError:
            continue
        except OSError:
            left.append(folder)
    return left


def counter(folder: str) -> str:
    """The file of a group that counts kills."""
    files = (os.path.join(folder, name) for name in ("memory.oom_control", "memory.events"))
    return next((file for file in files if os.path.exists(file)), "")


def available(controller: str) -> bool:
    """Whether a group can be made and entered here; tried."""
    try:
        remove([make(controller, {1: {}, 2: {}})])
    except (GroupError, AttributeError, OSError):
        return False
    return True
