"""Finds the Python that an environment is built on. Nothing is downloaded."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import Dict, Iterator, List, Mapping, Optional, Tuple

_ASK = (
    "import sys;v=sys.version_info;e=getattr(sys,'_base_executable',None) or sys.executable;"
    "print(sys.implementation.name,'%d.%d.%d'%v[:3],v[3],e,sep='\\n')"
)
_PREFIXES = ("/usr/local/bin", "/usr/bin", "/opt/homebrew/bin", "/opt/python/bin")


def find(wanted: str, environ: Mapping[str, str]) -> Optional[Tuple[str, str]]:
    """Path and version of a CPython that is `wanted` (3.11 or 3.11.7), the newest patch of those found.

    Taking the newest rather than the first on PATH gives the shell, a service and an SSH session, whose
    PATHs differ, the same Python on one machine.
    """
    best: Optional[Tuple[Tuple[int, ...], str, str]] = None
    seen = set()
    for candidate in candidates(wanted, environ):
        real = os.path.realpath(candidate)
        if real in seen:
            continue
        seen.add(real)
        answer = ask(candidate)
        if answer is None or not matches(wanted, answer["version"]):
            continue
        key = tuple(int(part) for part in answer["version"].split("."))
        if best is None or key > best[0]:
            best = (key, answer["executable"], answer["version"])
    return best and (best[1], best[2])


def matches(wanted: str, version: str) -> bool:
    """Whether a full version is what was asked for: 3.11 takes every patch of 3.11."""
    return version == wanted or version.startswith(wanted + ".")


def ask(executable: str) -> Optional[Dict[str, str]]:
    """Version and base executable of a release of CPython; None for anything else."""
    try:
        done = subprocess.run(
            [executable, "-I", "-S", "-c", _ASK],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = done.stdout.decode("utf-8", "surrogateescape").splitlines()
    if done.returncode or len(lines) != 4 or lines[0] != "cpython" or lines[2] != "final":
        return None
    return {"version": lines[1], "executable": lines[3]}


def candidates(wanted: str, environ: Mapping[str, str]) -> Iterator[str]:
    """Executables that may be the wanted Python: this one, PATH, the system's, pyenv's and uv's."""
    minor = ".".join(wanted.split(".")[:2])
    if sys.version_info[:2] == tuple(int(part) for part in minor.split(".")):
        yield getattr(sys, "_base_executable", None) or sys.executable
    for folder in [*environ.get("PATH", "").split(os.pathsep), *_PREFIXES]:
        for name in ("python" + minor, "python3"):
            file = os.path.join(folder, name)
            if folder.startswith("/") and os.access(file, os.X_OK):
                yield file
    for root in managed_roots(environ):
        for name in _listed(root):
            if re.search(r"(^|-){}(\.|-|$)".format(re.escape(minor)), name):
                file = os.path.join(root, name, "bin", "python" + minor)
                if os.access(file, os.X_OK):
                    yield file


def managed_roots(environ: Mapping[str, str]) -> List[str]:
    """Folders in which pyenv and uv keep Pythons, for HOME and for the account's own home folder.

    They differ on the embedded workstation, whose HOME is a folder of dsenv's.
    """
    homes = [environ.get("HOME", ""), _account_home()]
    roots = [os.path.join(environ.get("PYENV_ROOT", ""), "versions"), environ.get("UV_PYTHON_INSTALL_DIR", "")]
    for home in homes:
        roots += [os.path.join(home, ".pyenv", "versions"), os.path.join(home, ".local", "share", "uv", "python")]
    return [root for root in dict.fromkeys(roots) if root.startswith("/")]


def _account_home() -> str:
    try:
        import pwd
    except ImportError:  # Windows
        return ""
    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return ""


def _listed(folder: str) -> List[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []
