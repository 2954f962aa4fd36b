"""The project in which dsenv was started, as it is now: what `--code working-tree` runs."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from dsenv.errors import StateError, UsageError

# As capture finds a project, so that the same folder is meant there and here.
_MARKERS = ("dsenv.toml", ".git", "pyproject.toml")
# Left out of a copy: made again by tools, or not code.
_NOT_CODE = shutil.ignore_patterns(".git", "__pycache__", "*.pyc", ".venv", "venv", "node_modules", ".dsenv")


def find(start: Path | None = None) -> Path:
    """The nearest folder at or above `start`, or the working folder, that is a project, else that folder itself.

    Raises UsageError where that would be a whole home folder or disk.
    """
    try:
        here = start.absolute() if start else Path.cwd()
    except FileNotFoundError as error:
        raise UsageError("the working folder was deleted", hint="cd to the code that you mended") from error
    if found := marked(here):
        return found
    if here in {Path.home(), Path("/")}:
        raise UsageError(f"{here} is no project", hint="repeat this in the folder of the code that you mended")
    return here


def marked(start: Path) -> Path | None:
    """The nearest folder at or above `start` that says of itself that it is a project."""
    for folder in (start, *start.parents):
        if any(os.access(folder / name, os.F_OK) for name in _MARKERS):
            return folder
    return None


def copy(target: Path) -> None:
    """Copy the project to a new folder: what git would commit, or all of it without git.

    Raises UsageError outside a project, StateError when it cannot be copied.
    """
    root = find()
    names = _in_git(root)
    try:
        if names is None:
            shutil.copytree(root, target, symlinks=True, ignore=_NOT_CODE)
            return
        target.mkdir()
        for name in names:
            source = root / name
            if source.is_file() or source.is_symlink():
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target / name, follow_symlinks=False)
    except shutil.Error as error:
        raise StateError(f"cannot copy the working tree {root}: {error.args[0][0][2]}") from error
    except OSError as error:
        raise StateError(
            f"cannot copy the working tree {root}: {error.strerror}",
            hint="free some space, or set XDG_CACHE_HOME to a folder with more",
        ) from error


def _in_git(root: Path) -> list[str] | None:
    """Files that are tracked, or new and not ignored; None when this is not in git."""
    words = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(words, check=False, capture_output=True)
    except FileNotFoundError:
        return None
    return [name for name in os.fsdecode(listed.stdout).split("\0") if name] if listed.returncode == 0 else None
