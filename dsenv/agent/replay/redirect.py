"""Sends file accesses of this Python from recorded paths to where their content was restored.

For machines that allow no mount namespace. It covers what goes through `open`, `os` and thereby `pathlib`,
`shutil` and most libraries; what is read by compiled code or another program is not covered, and the plan
of a reproduction says so.
"""

from __future__ import annotations

import builtins
import functools
import io
import os
from typing import Any, Callable, List, Tuple

_ONE_PATH = (
    *("open", "stat", "lstat", "access", "listdir", "scandir", "mkdir", "rmdir", "remove", "unlink"),
    *("chmod", "utime", "readlink", "truncate", "chdir"),
)
# What capture leaves out of tracebacks: production's had no such frame.
OWN = "<dsenv>"
_TWO_PATHS = ("rename", "replace", "link", "symlink")


def mapper(prefixes: List[Tuple[str, str]]) -> Callable[[Any], Any]:
    """A function that rewrites a path (str, bytes or path object) below one of the recorded prefixes.

    The longest prefix wins. Anything else, descriptors included, comes back as it is.
    """
    ordered = sorted(((old.rstrip("/"), new) for old, new in prefixes), key=lambda pair: -len(pair[0]))

    def text(path: str) -> str:
        absolute = os.path.normpath(path) if path.startswith("/") else path
        for old, new in ordered:
            if absolute == old:
                return new
            if absolute.startswith(old + "/"):
                return new + absolute[len(old) :]
        return path

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


def install(prefixes: List[Tuple[str, str]]) -> None:
    """Redirect in this process, for as long as it lives."""
    change = mapper(prefixes)

    def wrap(function: Callable[..., Any], paths: int) -> Callable[..., Any]:
        def redirected(*args: Any, **kwargs: Any) -> Any:
            changed = tuple(change(arg) if i < paths else arg for i, arg in enumerate(args))
            for name in ("path", "file", "src", "dst"):
                if name in kwargs:
                    kwargs[name] = change(kwargs[name])
            return function(*changed, **kwargs)

        redirected.__code__ = redirected.__code__.replace(co_filename=OWN)
        return functools.wraps(function)(redirected)

    builtins.open = io.open = wrap(io.open, 1)
    for name in _ONE_PATH:
        setattr(os, name, wrap(getattr(os, name), 1))
    for name in _TWO_PATHS:
        setattr(os, name, wrap(getattr(os, name), 2))
    _redirect_stat_helpers(change)


def _redirect_stat_helpers(change: Callable[[Any], Any]) -> None:
    """`os.path.exists` and its kin are compiled since 3.12 and do not look `os.stat` up any more."""
    for name in ("exists", "isfile", "isdir", "islink", "lexists"):
        original = getattr(os.path, name)

        def redirected(path: Any, _original: Callable[..., Any] = original) -> Any:
            return _original(change(path))

        setattr(os.path, name, functools.wraps(original)(redirected))
