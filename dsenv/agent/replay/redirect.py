"""Sends file accesses of this Python from recorded paths to where their content was restored.

For machines that allow no mount namespace. It covers what goes through `open`, `os` and thereby `pathlib`,
`shutil` and most libraries, and where children begin. What compiled code or another program reads is not covered, and
the plan of a reproduction says so.
"""

from __future__ import annotations

import builtins
import functools
import io
import os
import sys
from typing import Any, Callable, List, Tuple

_ONE_PATH = (
    *("open", "stat", "lstat", "access", "listdir", "scandir", "mkdir", "rmdir", "remove", "unlink"),
    *("chmod", "utime", "readlink", "truncate", "chdir"),
)
# What capture leaves out of tracebacks: production's had no such frame.
OWN = "<dsenv>"
_TWO_PATHS = ("rename", "replace", "link", "symlink")
_PATH_NAMES = ("path", "file", "src", "dst")


def mapper(prefixes: List[Tuple[str, str]]) -> Callable[[Any], Any]:
    """A function that rewrites a path (str, bytes or path object) below one of the recorded prefixes.

    The longest prefix wins. A relative path that climbs is understood from where the program believes to be.
    Anything else, descriptors included, comes back as it is.
    """
    ordered = sorted(((old.rstrip("/"), new.rstrip("/")) for old, new in prefixes), key=lambda pair: -len(pair[0]))
    back = [(new, old) for old, new in ordered]

    def text(path: str) -> str:
        if path.startswith("/"):
            return _moved(os.path.normpath(path), ordered) or path
        if ".." not in path.split("/"):
            return path
        here = os.getcwd()
        believed = os.path.normpath(os.path.join(_moved(here, back) or here, path))
        return _moved(believed, ordered) or believed

    def change(path: Any) -> Any:
        if isinstance(path, str):
            return text(path)
        if isinstance(path, bytes):
            return os.fsencode(text(os.fsdecode(path)))
        if isinstance(path, os.PathLike):
            found = os.fspath(path)
            changed = change(found)
            return path if changed == found else changed
        return path

    return change


def _moved(path: str, pairs: List[Tuple[str, str]]) -> str:
    """The path with the first prefix that it lies below replaced; empty when there is none."""
    for old, new in pairs:
        if path == old or path.startswith(old + "/"):
            return new + path[len(old) :]
    return ""


def install(prefixes: List[Tuple[str, str]]) -> None:
    """Redirect in this process, for as long as it lives."""
    change = mapper(prefixes)

    def wrap(function: Callable[..., Any], paths: int) -> Callable[..., Any]:
        def redirected(*args: Any, **kwargs: Any) -> Any:
            changed = [change(arg) if i < paths else arg for i, arg in enumerate(args)]
            named = {name: change(kwargs[name]) for name in _PATH_NAMES if name in kwargs}
            try:
                return function(*changed, **{**kwargs, **named})
            except OSError as error:
                # The program, and the signature of its failure, must see the names that it used.
                asked = {os.fspath(new): os.fspath(old) for new, old in zip(changed, args[:paths]) if new is not old}
                asked.update((os.fspath(named[n]), os.fspath(kwargs[n])) for n in named if named[n] is not kwargs[n])
                if error.filename in asked:
                    error.filename = asked[error.filename]
                if error.filename2 in asked:
                    error.filename2 = asked[error.filename2]
                raise

        redirected.__code__ = redirected.__code__.replace(co_filename=OWN)
        return functools.wraps(function)(redirected)

    builtins.open = io.open = wrap(io.open, 1)
    for name in _ONE_PATH:
        setattr(os, name, wrap(getattr(os, name), 1))
    for name in _TWO_PATHS:
        setattr(os, name, wrap(getattr(os, name), 2))
    _redirect_stat_helpers(change)
    _redirect_children(change)


def _redirect_children(change: Callable[[Any], Any]) -> None:
    """The program that a child becomes, and the folder in which it begins. What its words name stays as it is."""
    try:
        import _posixsubprocess
    except ImportError:
        return
    fork_exec = _posixsubprocess.fork_exec

    def redirected(*args: Any) -> Any:
        changed = list(args)
        if len(args) > 4:
            changed[1] = tuple(change(path) for path in args[1])
            changed[4] = change(args[4])
        return fork_exec(*changed)

    redirected.__code__ = redirected.__code__.replace(co_filename=OWN)
    setattr(_posixsubprocess, "fork_exec", functools.wraps(fork_exec)(redirected))  # noqa: B010 - not in its stub
    if hasattr(sys.modules.get("subprocess"), "_fork_exec"):
        setattr(sys.modules["subprocess"], "_fork_exec", _posixsubprocess.fork_exec)  # noqa: B010 - nor this one


def _redirect_stat_helpers(change: Callable[[Any], Any]) -> None:
    """`os.path.exists` and its kin are compiled since 3.12 and do not look `os.stat` up any more."""
    for name in ("exists", "isfile", "isdir", "islink", "lexists"):
        original = getattr(os.path, name)

        def redirected(path: Any, _original: Callable[..., Any] = original) -> Any:
            return _original(change(path))

        setattr(os.path, name, functools.wraps(original)(redirected))
