"""Environments on disk: where they may be, which one can be used, and which ones are old. POSIX."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import time
from typing import Any, Dict, List, Mapping, Optional, Tuple

from dsenv.agent import places

MANIFEST = "dsenv-environment.json"
FORMAT = 1
SYSTEM_ROOT = "/opt/dsenv/envs"
KEEP = 20
_RECENT = 24 * 3600.0
STAGING = ".tmp"


def folder_name(environment_id: str) -> str:
    """The name of an environment's folder: enough of its id to be unique, short enough to read."""
    return environment_id[:24]


def roots(environ: Mapping[str, str], envs_dir: Optional[str] = None) -> List[str]:
    """Where environments may be, best first. An explicit folder (argument or DSENV_ENVS_DIR) is the only one."""
    explicit = envs_dir or environ.get("DSENV_ENVS_DIR")
    if explicit:
        return [os.path.abspath(explicit)]
    return [SYSTEM_ROOT, os.path.join(places.data_dir(environ), "envs")]


def present(
    environment_id: str, environ: Mapping[str, str], envs_dir: Optional[str] = None
) -> Optional[Dict[str, Any]]:
    """The environment if it is complete, ours or root's, and its Python is still there; None otherwise."""
    for root in roots(environ, envs_dir):
        prefix = os.path.join(root, folder_name(environment_id))
        manifest = read_manifest(prefix)
        if manifest is None or manifest.get("id") != environment_id or not trusted(prefix):
            continue
        if not os.access(python_of(prefix), os.X_OK):
            continue
        with contextlib.suppress(OSError):  # root's environments are used by all, and touched by root
            os.utime(os.path.join(prefix, MANIFEST))
        return dict(manifest, prefix=prefix, rung="present")
    return None


def python_of(prefix: str) -> str:
    """The interpreter of an environment."""
    return os.path.join(prefix, "bin", "python")


def read_manifest(prefix: str) -> Optional[Dict[str, Any]]:
    """The manifest, which is written last: a prefix without a readable one is not an environment."""
    try:
        with open(os.path.join(prefix, MANIFEST), "rb") as stream:
            value = json.loads(stream.read(1 << 22))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) and value.get("format") == FORMAT else None


def trusted(path: str) -> bool:
    """Whether nobody but root and the caller could have written here."""
    try:
        facts = os.stat(path)
    except OSError:
        return False
    return facts.st_uid in (0, os.geteuid()) and not facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def writable(root: str) -> bool:
    """Whether environments can be made in `root`, or `root` itself, and nobody else could put some there."""
    existing = root
    while not os.path.lexists(existing):
        existing = os.path.dirname(existing)
    return trusted(existing) and os.access(existing, os.W_OK)


def collect(root: str, *, keep: int, spare: str) -> List[str]:
    """Remove the caller's environments beyond the last `keep` by use; never `spare`, nor one used within a day.

    Returns the removed prefixes.
    """
    used: List[Tuple[float, str]] = []
    for name in os.listdir(root):
        prefix = os.path.join(root, name)
        file = os.path.join(prefix, MANIFEST)
        with contextlib.suppress(OSError):
            if not name.endswith(STAGING) and os.stat(prefix).st_uid == os.geteuid():
                used.append((os.stat(file).st_mtime, prefix))
    removed = []
    for when, prefix in sorted(used, reverse=True)[keep:]:
        if prefix != spare and time.time() - when > _RECENT:
            # Without its manifest it is no environment any more, so a half-removed one is never used.
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(prefix, MANIFEST))
            shutil.rmtree(prefix, ignore_errors=True)
            removed.append(prefix)
    return removed
