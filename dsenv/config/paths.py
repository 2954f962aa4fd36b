"""The only owner of folders: nothing else in the CLI asks for XDG variables or the home folder.

XDG on every POSIX system (macOS too, as uv and git do), the platform's own places on Windows.
Each function creates nothing; `private` makes a folder that only the user can enter.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from dsenv.agent import places


def _base(variable: str, fallback: str, windows: str) -> Path:
    if sys.platform == "win32":
        import platformdirs

        return Path(getattr(platformdirs, windows)("dsenv", appauthor=False))
    value = os.environ.get(variable, "")
    root = Path(value) if value.startswith("/") else Path.home() / fallback
    return root / "dsenv"


def data_dir() -> Path:
    """Workstations' homes, keys, records, environments: what must not be lost."""
    return _base("XDG_DATA_HOME", ".local/share", "user_data_dir")


def state_dir() -> Path:
    """State files and logs: what is remembered between commands."""
    return _base("XDG_STATE_HOME", ".local/state", "user_state_dir")


def cache_dir() -> Path:
    """What can be made again."""
    return _base("XDG_CACHE_HOME", ".cache", "user_cache_dir")


def config_dir() -> Path:
    """The user's settings."""
    return _base("XDG_CONFIG_HOME", ".config", "user_config_dir")


def runtime_dir() -> Path:
    """Sockets and pid files: gone after a reboot. Short, because socket paths are at most 107 bytes."""
    value = os.environ.get("XDG_RUNTIME_DIR", "")
    if value.startswith("/") and os.access(f"{value}/", os.W_OK | os.X_OK):
        return Path(value) / "dsenv"
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    return Path(tempfile.gettempdir()) / f"dsenv-{user}"


def workstations_dir() -> Path:
    """One folder for each workstation: its state, keys and, for `local`, its HOME."""
    return data_dir() / "workstations"


def default_store() -> Path:
    """Where records go when nothing else is said; the agent in production has the same rule."""
    if sys.platform == "win32":
        return data_dir() / "runs"
    return Path(places.default_store(os.environ))


def log_file() -> Path:
    """Tracebacks of our own bugs."""
    return state_dir() / "dsenv.log"


def private(folder: Path) -> Path:
    """Make `folder` and its parents; the folder itself is for the user alone (0700)."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if folder.stat().st_mode & 0o077 and sys.platform != "win32":
        folder.chmod(0o700)
    return folder
