"""Lets a process tree write anywhere and change nothing: what it writes outside its scratch folder lands inside that.

Each folder of `/` is covered by an overlay of itself (see the kernel's Documentation/filesystems/overlayfs.rst), in a
mount namespace that was entered before. Kernel file systems and devices stay what they are; so do sockets, because an
overlay's are not connected to anybody.
"""

from __future__ import annotations

import os
import stat
from contextlib import ExitStack, suppress
from typing import Dict, List, NamedTuple, Sequence

from dsenv.agent.replay import namespace

WRITTEN = "written"  # folder of the scratch folder: top/upper/... has what was written below /top
_KERNELS = frozenset(["/dev", "/proc", "/sys"])
_OPEN_TO_ALL = ("/var/tmp",)  # noqa: S108 - nothing is made in it
_SOCKETS = 500


class Mount(NamedTuple):
    """A mounted file system."""

    point: str
    kind: str


def mounts(file: str = "/proc/self/mountinfo") -> List[Mount]:
    """What is mounted where."""
    found = []
    with open(file, encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            before, _, after = line.partition(" - ")
            point = before.split()[4]
            for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
                point = point.replace(code, char)
            found.append(Mount(point, after.split()[0]))
    return found


def coverable(mounted: List[Mount], folder: str = "/") -> "Dict[str, bool]":
    """The folders below `folder` that are to be covered, and whether each can be: true, or false when it is left open.

    One in which other file systems are mounted is covered folder by folder.
    """
    found: Dict[str, bool] = {}
    with suppress(OSError):
        for name in sorted(os.listdir(folder)):
            path = os.path.join(folder, name)
            if path in _KERNELS or os.path.islink(path) or not os.path.isdir(path):
                continue
            if any(mount.point.startswith(path + "/") for mount in mounted):
                found[path] = False
                found.update(coverable(mounted, path))
            else:
                found[path] = not any(mount.point == path and mount.kind == "autofs" for mount in mounted)
    return found


def cover(scratch: str, own: Sequence[str] = ()) -> List[str]:
    """Cover what can be covered; the folder `scratch` stays as it is. Returns the folders that are left open.

    `own` are folders in which the command will write, as far as it may. Raises NamespaceError, OSError when nothing
    can be covered.
    """
    with ExitStack() as opened:
        held = _held(opened, scratch)
        sockets = {path: _held(opened, path) for path in _sockets()}
        wanted = coverable(mounts())
        wanted.pop(scratch, None)  # in a folder that is covered folder by folder
        # Who is not root can change no folder of root's, not even in the overlay; but its top is our own.
        wanted.update((path, True) for path in _OPEN_TO_ALL if os.getuid() and os.path.isdir(path))
        left = [path for path, possible in wanted.items() if not possible]
        covered = 0
        for number, path in enumerate(path for path, possible in wanted.items() if possible):
            try:
                _overlay(path, os.path.join(held, WRITTEN), str(number), own)
                covered += 1
            except (namespace.NamespaceError, OSError):
                left.append(path)
        if not covered:
            raise namespace.NamespaceError("nothing can be covered by an overlay")
        if os.path.isdir(scratch):
            namespace.mount(held, scratch)
        for path, socket in sockets.items():
            with suppress(namespace.NamespaceError, OSError):
                namespace.mount(socket, path)
    return left


def _held(opened: ExitStack, path: str) -> str:
    """Another name of a file or folder, which stays when it is covered."""
    handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    opened.callback(os.close, handle)
    return "/proc/self/fd/{}".format(handle)


def _overlay(path: str, written: str, name: str, own: Sequence[str]) -> None:
    upper, work = os.path.join(written, name, "upper"), os.path.join(written, name, "work")
    for folder in (upper, work):
        os.makedirs(folder, 0o700, exist_ok=True)
    info = os.stat(path)
    os.chmod(upper, stat.S_IMODE(info.st_mode))
    if os.getuid() == 0:
        os.chown(upper, info.st_uid, info.st_gid)
    else:
        for folder in own:
            _lead_to(folder, path, upper)
    with open(os.path.join(written, name, "of"), "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(path)
    # The words of the options are separated by commas, and a name may have one.
    escaped = path.replace("\\", "\\\\").replace(",", "\\,").replace(":", "\\:")
    options = "lowerdir={},upperdir={},workdir={}".format(escaped, upper, work)
    namespace.mount("overlay", path, "overlay", 0, options + ("" if os.getuid() == 0 else ",userxattr"))


def _lead_to(folder: str, top: str, upper: str) -> None:
    """Make in `upper`, which covers `top`, what leads to `folder`.

    What is written there takes the folders above along, and those of other users cannot be taken along by who is not
    root. Folders that are there already are shown together with those that they cover.
    """
    if not folder.startswith(top.rstrip("/") + "/") or os.path.realpath(folder) != folder:
        return
    place = upper
    for part in folder[len(top) :].strip("/").split("/"):
        top, place = os.path.join(top, part), os.path.join(place, part)
        with suppress(OSError):
            mode = stat.S_IMODE(os.stat(top).st_mode)
            os.mkdir(place, 0o700)
            os.chmod(place, mode)


def _sockets() -> List[str]:
    """Sockets of this machine that a program may want to reach: of databases, agents, displays."""
    found: List[str] = []
    with suppress(OSError), open("/proc/net/unix", encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            path = line.rstrip("\n").split(None, 7)[-1]
            if path.startswith("/") and len(found) < _SOCKETS:
                with suppress(OSError):
                    if stat.S_ISSOCK(os.lstat(path).st_mode):
                        found.append(path)
    return found


def available(scratch: str) -> bool:
    """Whether anything can be covered here; tried in a child, which uses the empty folder `scratch`."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            namespace.enter()
            cover(scratch)
            code = 0
        except (namespace.NamespaceError, OSError, AttributeError):
            pass
        finally:
            os._exit(code)
    return os.waitpid(child, 0)[1] == 0
