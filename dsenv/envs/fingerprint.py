"""Fingerprints of places: this machine, a workstation, a lock, a recorded run. The questions are the agent's."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dsenv import resources
from dsenv.config import paths
from dsenv.envs.lockfile import Lock
from dsenv.errors import EnvError
from dsenv.transports.agent import deploy
from dsenv.transports.base import Transport

_TIMEOUT = 120.0
_QUESTIONS = ("fingerprint", "numeric", "content")


def active_python(root: Path | None) -> str:
    """The Python that a command typed here would use: the active environment's, the project's `.venv`, PATH's.

    Raises EnvError when there is none.
    """
    active = [os.environ.get(name, "") for name in ("VIRTUAL_ENV", "CONDA_PREFIX")]
    places = [Path(prefix) for prefix in active if prefix] + ([root / ".venv"] if root else [])
    for prefix in places:
        for file in (prefix / "bin" / "python", prefix / "Scripts" / "python.exe"):
            if os.access(file, os.X_OK):
                return str(file)
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        for name in ("python", "python3", "python.exe"):
            candidate = os.path.join(folder, name)  # noqa: PTH118 - Path.is_file raises where a folder is closed to us
            if folder and os.path.isfile(candidate) and os.access(candidate, os.X_OK):  # noqa: PTH113
                return candidate
    raise EnvError("there is no Python here to look at", hint="activate an environment, then repeat")


def of_python(python: str, *, apt: Sequence[str] = ()) -> dict[str, Any]:
    """The fingerprint of this machine as one Python sees it, with numeric and content facts. Raises EnvError."""
    command = [python, str(_agent_file()), *_QUESTIONS, *(f"apt:{name}" for name in apt)]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TIMEOUT, check=False)
    except OSError as error:
        raise EnvError(f"cannot run {python}: {error.strerror}", hint="activate another environment") from error
    except subprocess.TimeoutExpired as error:
        raise EnvError(f"{python} gave no answer in {_TIMEOUT:.0f} s") from error
    return _parsed(python, done.returncode, done.stdout, done.stderr)


def on(
    transport: Transport,
    python: str,
    *,
    environment: str | None = None,
    envs_dir: str | None = None,
    apt: Sequence[str] = (),
) -> dict[str, Any]:
    """The fingerprint of a workstation: as the environment with the id `environment` sees it when it is there, else
    as `python` does. Raises EnvError, TransportError.
    """
    words = [*deploy(transport, python), *_QUESTIONS, *(f"apt:{name}" for name in apt)]
    words += [f"environment:{environment}"] if environment else []
    words += [f"envs:{envs_dir}"] if envs_dir else []
    done = transport.run(words, timeout=_TIMEOUT)
    return _parsed("the workstation", done.code, done.stdout, done.stderr)


def of_lock(lock: Lock) -> dict[str, Any]:
    """What a lock promises: packages, Python, the C library that its wheels need, system packages."""
    facts = lock.facts
    promised: dict[str, Any] = {
        "lock": {
            "id": lock.id,
            "platforms": list(lock.platforms),
            "apt": list(facts.get("apt", [])),
            "libc": facts.get("libc", ""),
            "conditional": [package["name"] for package in lock.document.get("packages", []) if "marker" in package],
        },
        "python": {"version": lock.python, "implementation": "cpython"},
        "distributions": [{"name": name, "version": version} for name, version in sorted(lock.packages.items())],
    }
    return promised


def of_run(record: Mapping[str, Any]) -> dict[str, Any]:
    """What a record says of the place where its run ran. Raises EnvError for a run that recorded none."""
    recorded = record.get("fingerprint")
    if not isinstance(recorded, dict):
        raise EnvError(f"run {record.get('id')} recorded no fingerprint", hint="compare with another run")
    facts: dict[str, Any] = dict(recorded)
    environment = record.get("environment", {})
    if environment.get("distributions") is not None:
        facts["distributions"] = environment["distributions"]
    if environment.get("python"):
        # The recorder's own Python may be another one than the command's.
        facts["python"] = dict(environment["python"])
    return facts


def _agent_file() -> Path:
    data = resources.agent_archive()
    file = paths.cache_dir() / "agent" / f"{hashlib.sha256(data).hexdigest()[:24]}.pyz"
    if not file.is_file() or file.stat().st_size != len(data):
        from dsenv.state import store

        store.write_bytes(paths.private(file.parent) / file.name, data)
    return file


def _parsed(who: str, code: int, stdout: bytes, stderr: bytes) -> dict[str, Any]:
    try:
        facts = json.loads(stdout) if code == 0 else None
    except ValueError:
        facts = None
    if not isinstance(facts, dict):
        words = stderr.decode("utf-8", "replace").strip()[-2000:]
        raise EnvError(f"{who} could not describe itself (exit code {code})", detail=words or None)
    return facts
