"""Materialise a lock, here or on a workstation. The work is the agent's; this side hands it what it needs."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dsenv.agent.install as agent
from dsenv.envs.lockfile import Lock
from dsenv.errors import InstallError
from dsenv.events import Cancel, Cancelled, Emit, Progress, StepNote, step

_TITLE = "environment"


@dataclasses.dataclass(frozen=True)
class Environment:
    """A lock on disk. `rung` is where it came from: present, cache or index."""

    id: str
    prefix: str
    python: str  # the interpreter to run
    rung: str
    python_version: str = ""
    content: str = ""  # normalised content digest


def here(lock: Lock, *, emit: Emit, cancel: Cancel) -> Environment:
    """The environment of `lock` on this machine; made when it is not there. Raises InstallError."""
    with step(emit, "environment", _TITLE) as note:
        found = agent.present(lock.id, os.environ)
        if found is None:
            with _wheel_folder(lock) as wheels:
                found = _install_here(_request(lock, uv=uv_executable(), wheels=str(wheels)), emit, cancel)
        return _described(found, note)


def uv_executable() -> str:
    """The uv that came with dsenv. Raises InstallError when the installation lost it."""
    import uv

    try:
        return uv.find_uv_bin()
    except FileNotFoundError as error:
        raise InstallError(f"dsenv's own uv is missing: {error}", hint="install dsenv again: ./install.sh") from error


def _request(lock: Lock, *, uv: str, wheels: str) -> dict[str, Any]:
    return {
        "id": lock.id,
        "python": lock.python,
        "requirements": lock.requirements(),
        "uv": uv,
        "wheels": wheels,
        "index_arguments": index_arguments(lock.facts.get("indexes", [])),
    }


def index_arguments(indexes: Sequence[str]) -> list[str]:
    """The installer's options for the indexes that a lock names: the first replaces the default unless it is ""."""
    options = [("--extra-index-url" if number else "--index-url", url) for number, url in enumerate(indexes) if url]
    return [word for option in options for word in option]


def _install_here(request: dict[str, Any], emit: Emit, cancel: Cancel) -> dict[str, Any]:
    try:
        return agent.install(request, _progress(emit), lambda: cancel.requested)
    except agent.InstallStoppedError as stopped:
        raise Cancelled from stopped
    except agent.InstallFailedError as problem:
        raise InstallError(problem.message, hint=problem.hint or None, detail=problem.detail or None) from problem


def _progress(emit: Emit) -> Callable[[dict[str, Any]], None]:
    words = {"waiting": "waiting for another dsenv", "verify": "checking files"}

    def report(message: dict[str, Any]) -> None:
        name = str(message.get("step", ""))
        emit(Progress("environment", 0, 0, words.get(name) or f"packages from the {message.get('from', 'index')}"))

    return report


def _described(found: dict[str, Any], note: StepNote) -> Environment:
    version = str(found["python"]["version"])
    note.note = f"{found['id'][:12]} on Python {version} from: {found['rung']}"
    prefix = str(found["prefix"])
    return Environment(
        id=str(found["id"]),
        prefix=prefix,
        python=agent.python_of(prefix),
        rung=str(found["rung"]),
        python_version=version,
        content=str(found["content"]),
    )


@contextmanager
def _wheel_folder(lock: Lock) -> Iterator[Path]:
    """A folder with the lock's local wheels side by side."""
    with tempfile.TemporaryDirectory(prefix="dsenv-wheels-") as name:
        folder = Path(name)
        for wheel in lock.local_wheels:
            (folder / wheel.filename).write_bytes(lock.wheel_file(wheel).read_bytes())
        yield folder
