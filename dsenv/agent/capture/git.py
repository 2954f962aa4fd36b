"""What git knows of a folder."""

from __future__ import annotations

import os

from dsenv.agent.light import TYPE_CHECKING
from dsenv.agent.redact import Redactor

if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional

_TIMEOUT = 30
# The user's own settings may run programs (fsmonitor, pagers); looking at a folder must not.
_QUIET = ["-c", "core.fsmonitor=false", "-c", "core.quotepath=off", "--no-optional-locks"]


def _git(root: str, *arguments: str) -> Optional[bytes]:
    """What git says, None where it has nothing to say or is not there."""
    import subprocess  # most production machines have no repository, and need not wait for this

    try:
        done = subprocess.run(
            ["git", *_QUIET, "-C", root, *arguments],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_TIMEOUT,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout if done.returncode == 0 else None


def _is_in_work_tree(root: str) -> bool:
    """Looked up without starting git, which most production machines lack."""
    folder = root
    while not os.path.exists(os.path.join(folder, ".git")):
        parent = os.path.dirname(folder)
        if parent == folder:
            return False
        folder = parent
    return True


def files(root: str) -> Optional[List[str]]:
    """Tracked files, and those that are neither tracked nor ignored; None when git does not manage the folder."""
    if not _is_in_work_tree(root):
        return None
    listed = _git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    if listed is None:
        return None
    return [os.fsdecode(name) for name in listed.split(b"\0") if name]


def facts(root: str) -> Optional[Dict[str, Any]]:
    """Commit, branch, whether there are uncommitted changes, and the remote without its password."""
    if not _is_in_work_tree(root):
        return None
    status = _git(root, "status", "--porcelain=v2", "--branch", "--", ".")
    if status is None:
        return None
    found: Dict[str, Any] = {"system": "git", "commit": None, "branch": None, "dirty": False, "remote": None}
    for line in status.decode("utf-8", "surrogateescape").splitlines():
        if line.startswith("# branch.oid "):
            commit = line.split(" ", 2)[2]
            found["commit"] = None if commit.startswith("(") else commit
        elif line.startswith("# branch.head "):
            branch = line.split(" ", 2)[2]
            found["branch"] = None if branch.startswith("(") else branch
        elif not line.startswith("#"):
            found["dirty"] = True
    remote = _git(root, "config", "--get", "remote.origin.url")
    if remote:
        found["remote"] = Redactor().text(remote.decode("utf-8", "replace").strip(), "vcs", "remote")
    return found
