"""Write the agent as one file, for machines on which nothing is installed."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import zipfile
from pathlib import Path

from dsenv import __version__, resources
from dsenv.errors import StateError, UsageError
from dsenv.state import store


@dataclasses.dataclass(frozen=True)
class Exported:
    """The production file."""

    path: Path
    size: int
    sha256: str
    version: str
    changed: bool  # false when the same file was there already


def export(path: Path, *, replace: bool = False, dry_run: bool = False) -> Exported:
    """Write the file in one step, executable for all. Safe to repeat.

    Raises UsageError when `path` is something else and `replace` is not given, StateError when it cannot be written.
    """
    path = path.expanduser().absolute()
    data = resources.agent_archive()
    before = _read(path)
    if before is not None and not replace and not _is_ours(before):
        raise UsageError(f"{path} is not an agent of dsenv", hint=f"dsenv agent export --yes {path}")
    changed = before != data
    if changed and not dry_run:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StateError(f"cannot make {path.parent}: {error.strerror}", hint="choose another folder") from error
        store.write_bytes(path, data, mode=0o755)
    return Exported(path, len(data), hashlib.sha256(data).hexdigest(), __version__, changed)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except IsADirectoryError as error:
        raise UsageError(f"{path} is a folder", hint=f"dsenv agent export {path / 'dsenv.pyz'}") from error
    except OSError as error:
        raise StateError(f"cannot read {path}: {error.strerror}", hint="choose another path") from error


def _is_ours(data: bytes) -> bool:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return "dsenv/agent/__main__.py" in archive.namelist()
    except zipfile.BadZipFile:
        return False
