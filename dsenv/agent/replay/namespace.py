"""A view of the file system in which recorded files are at their recorded paths, for one process tree.

A mount namespace (and, without root, a user namespace) of Linux; see mount_namespaces(7), user_namespaces(7).
Nothing outside the process tree sees any of it, and it is gone with its last process.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import stat
from typing import List, Tuple

_NEWNS = 0x00020000
_NEWUSER = 0x10000000
_BIND = 0x1000
_REC = 0x4000
_PRIVATE = 0x40000
_COPIED = 16 << 20  # bytes: larger files are not copied into memory


class NamespaceError(Exception):
    """The kernel, a container's policy or a distribution's settings refuse."""


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise NamespaceError("{}: {}".format(what, os.strerror(number)))


def mount(source: str, target: str, kind: str = "", flags: int = _BIND | _REC, options: str = "") -> None:
    """mount(2). Raises NamespaceError."""
    words = (os.fsencode(source), os.fsencode(target), kind.encode() or None, flags, os.fsencode(options) or None)
    code = _libc().mount(*words)
    _check(code, "mount {} on {}".format(source, target))


def enter() -> None:
    """Give this process a mount namespace of its own. It must have one thread. Raises NamespaceError."""
    uid, gid = os.getuid(), os.getgid()
    if uid == 0:
        _check(_libc().unshare(_NEWNS), "unshare")
    else:
        _check(_libc().unshare(_NEWUSER | _NEWNS), "unshare")
        try:
            _write("/proc/self/setgroups", "deny")
            _write("/proc/self/uid_map", "{0} {0} 1".format(uid))
            _write("/proc/self/gid_map", "{0} {0} 1".format(gid))
        except OSError as error:
            raise NamespaceError("user namespace: {}".format(error)) from error
    mount("none", "/", "", _REC | _PRIVATE)


def available() -> bool:
    """Whether `enter` and a mount work here, tried in a child."""
    try:
        child = os.fork()
    except (AttributeError, OSError):
        return False
    if child == 0:
        code = 1
        try:
            enter()
            mount("tmpfs", "/usr", "tmpfs", 0)
            code = 0
        except (NamespaceError, OSError, AttributeError):
            pass
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return status == 0


class View:
    """Changes to what this process sees; made after `enter`, in any order.

    `staging` is an empty folder on which scratch file systems are mounted.
    """

    def __init__(self, staging: str) -> None:
        self._staging = staging
        mount("tmpfs", staging, "tmpfs", 0)
        self._made = 0

    def hold(self, source: str) -> str:
        """Another path for the file or folder `source`, which stays when what it lies in is covered."""
        held = self._fresh(os.path.isdir(source))
        mount(source, held)
        return held

    def place(self, source: str, target: str) -> None:
        """Show the file or folder `source` at the absolute path `target`, which need not exist."""
        target = os.path.realpath(target)
        if os.path.lexists(target) and os.path.isdir(target) != os.path.isdir(source):
            self.hide(target)
        if not os.path.lexists(target):
            self._make(target, os.path.isdir(source))
            if os.path.isfile(source) and os.stat(source).st_size <= _COPIED:
                shutil.copy2(source, target)  # what is mounted could be neither renamed nor removed
                return
        mount(source, target)

    def hide(self, target: str) -> None:
        """Let nothing be at `target`."""
        target = os.path.realpath(target)
        if os.path.lexists(target):
            self._rebuild(os.path.dirname(target), without=os.path.basename(target))

    def _fresh(self, folder: bool = True) -> str:
        self._made += 1
        path = os.path.join(self._staging, str(self._made))
        if folder:
            os.mkdir(path)
        else:
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
        return path

    def _make(self, target: str, folder: bool) -> None:
        """Make the mount point `target` without touching the disk: its nearest parent is rebuilt in memory."""
        parent = os.path.dirname(target)
        existing = parent
        while not os.path.isdir(existing):
            existing = os.path.dirname(existing)
        if not self._ours(existing):
            self._rebuild(existing)
        os.makedirs(parent, exist_ok=True)
        if folder:
            os.mkdir(target)
        else:
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o600))

    def _ours(self, folder: str) -> bool:
        return os.stat(folder).st_dev == os.stat(self._staging).st_dev

    def _rebuild(self, folder: str, without: str = "") -> None:
        """Cover `folder` by one in memory that shows the same entries, less one."""
        copy = self._fresh()
        try:
            names = os.listdir(folder)
        except PermissionError:
            names = []  # what is in a folder that is closed to us cannot be seen there either
        for name in names:
            if name == without:
                continue
            self._show(os.path.join(folder, name), os.path.join(copy, name))
        info = os.stat(folder)
        os.chmod(copy, stat.S_IMODE(info.st_mode))
        if folder == "/":
            os.chroot(copy)
            os.chdir("/")
        else:
            mount(copy, folder)

    def _show(self, source: str, target: str) -> None:
        info = os.lstat(source)
        if stat.S_ISLNK(info.st_mode):
            os.symlink(os.readlink(source), target)
            return
        if stat.S_ISDIR(info.st_mode):
            os.mkdir(target)
        else:
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o600))
        mount(source, target)


def arrange(staging: str, places: List[Tuple[str, str]], hidden: List[str]) -> None:
    """In a namespace that was entered, show every (source, target); nothing is at the `hidden` paths.

    Parents come before what lies in them. A source may lie below a target. Raises NamespaceError when the
    system refuses any part.
    """
    try:
        view = View(staging)
        held = [(view.hold(source), target) for source, target in places]
        for source, target in sorted(held, key=lambda pair: pair[1].count("/")):
            view.place(source, target)
        for target in hidden:
            view.hide(target)
    except OSError as error:
        raise NamespaceError(str(error)) from error


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)
