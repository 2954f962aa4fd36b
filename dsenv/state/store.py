"""Small JSON files that survive a crash: written beside, synced, renamed, with a version in them."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from dsenv.errors import StateError

_MAX_BYTES = 16 << 20


def write_bytes(file: Path, data: bytes, *, mode: int = 0o600, beside: Path | None = None) -> None:
    """Replace `file` by `data` in one step; a reader sees the old or the new content. Raises StateError.

    `beside` names the file that is written first. Only for callers that hold a lock: after a crash the next one
    finds it and takes it over, where those with names of their own would stay behind.
    """
    temporary = ""
    try:
        if beside:
            temporary = str(beside)
            handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_CLOEXEC", 0), 0o600)
        else:
            handle, temporary = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
        with os.fdopen(handle, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        Path(temporary).chmod(mode)
        Path(temporary).replace(file)
    except OSError as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        raise StateError(
            f"cannot write {file}: {error.strerror}",
            hint="free some space or fix the folder's permissions, then repeat",
        ) from error


def write(file: Path, value: dict[str, Any], *, version: int, beside: Path | None = None) -> None:
    """Write a JSON object with `version` in it; `beside` as in `write_bytes`."""
    write_bytes(file, json.dumps({"version": version} | value, indent=1).encode(), beside=beside)


def read(file: Path, *, version: int) -> dict[str, Any] | None:
    """The object that `write` left, without its version; None when there is no file.

    Raises StateError for what cannot be read, is not ours, or was written by a newer dsenv.
    """
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise StateError(f"{file} is larger than a state file can be", hint=f"move it away: mv {file} {file}.bad")
        value = json.loads(file.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateError(f"cannot read {file}: {error.strerror}") from error
    except ValueError as error:
        raise StateError(f"{file} is damaged: {error}", hint=f"move it away: mv {file} {file}.bad") from error
    if not isinstance(value, dict) or not isinstance(value.get("version"), int):
        raise StateError(f"{file} is not a state file of dsenv", hint=f"move it away: mv {file} {file}.bad")
    if value["version"] > version:
        raise StateError(
            f"{file} was written by a newer dsenv (format {value['version']}, known {version})",
            hint="upgrade dsenv",
        )
    return {key: item for key, item in value.items() if key != "version"}
