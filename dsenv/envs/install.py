"""Materialise a lock, here or on a workstation. The work is the agent's; this side hands it what it needs."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import dsenv.agent.install as agent
from dsenv.agent import environments
from dsenv.agent.schema import Distribution
from dsenv.envs.executable import index_arguments, uv_executable, uv_version
from dsenv.envs.lockfile import Lock
from dsenv.errors import InstallError, TransportError
from dsenv.events import Cancel, Cancelled, Emit, Progress, StepNote, step
from dsenv.transports.agent import deploy
from dsenv.transports.base import Channel, Transport, put_compressed

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
        found = environments.present(lock.id, os.environ)
        if found is None:
            with _wheel_folder(lock) as wheels:
                found = _install_here(request(lock, uv=uv_executable(), wheels=str(wheels)), emit, cancel)
        return _described(found, note)


def request(lock: Lock, *, uv: str, wheels: str) -> dict[str, Any]:
    """What the agent's `install` is asked: `uv` and `wheels` are paths on the machine that installs."""
    return {
        "id": lock.id,
        "python": lock.python,
        "requirements": lock.requirements(),
        "uv": uv,
        "wheels": wheels,
        "index_arguments": index_arguments(lock.facts.get("indexes", [])),
    }


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
        python=environments.python_of(prefix),
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


def from_distributions(
    distributions: Sequence[Distribution], python: str, *, emit: Emit, cancel: Cancel
) -> Environment:
    """The distributions of a record that has no lock, in exactly the recorded versions, on `python` (3.11.7).

    Another patch of the same minor serves where that one is not on this machine. Raises InstallError; what
    cannot be had is listed in its `detail`, one distribution a line.
    """
    from dsenv.envs.lock import recorded

    return here(recorded.lock_of(distributions, python, emit=emit, cancel=cancel), emit=emit, cancel=cancel)


def root_here() -> str:
    """The folder in which this machine's environments are made, for a workstation that is this machine."""
    choices = environments.roots(os.environ)
    return next((root for root in choices if environments.writable(root)), choices[-1])


def share_root(transport: Transport) -> None:
    """Let environments be where they are on every machine, if the user there may decide that. Raises TransportError."""
    script = '[ -w "$0" ] || sudo -n install -d -m 755 -o "$(id -u)" -g "$(id -g)" "$0"'
    transport.run(["sh", "-c", script, environments.SYSTEM_ROOT])


def on(
    transport: Transport,
    lock: Lock,
    *,
    emit: Emit,
    cancel: Cancel,
    python: str = "python3",
    envs_dir: str | None = None,
) -> Environment:
    """The environment of `lock` on a workstation; made when it is not there.

    `python` runs the agent there. `envs_dir` overrides where environments are, for a workstation that shares this
    machine's: see `root_here`. Raises InstallError, TransportError.
    """
    with step(emit, "environment", _TITLE) as note:
        command = deploy(transport, python)
        wanted = request(lock, uv=uv_on(transport), wheels=_put_wheels(transport, lock)) | {"envs_dir": envs_dir}
        return _described(_converse(transport, [*command, "install", "-"], wanted, emit, cancel), note)


def uv_on(transport: Transport) -> str:
    """A uv on the workstation: ours at its own path when the machine is this one, the one that was put there, or
    a copy of ours. Raises InstallError for a machine of another kind that has none.
    """
    own = uv_executable()
    version = uv_version()
    copy = f".cache/dsenv/uv/{version}/uv"
    for path in (own, copy, "uv"):
        answer = transport.run([path, "--version"])
        if answer.code == 0 and answer.stdout.decode("utf-8", "replace").split()[:2] == ["uv", version]:
            return path if path != copy else _absolute(transport, copy)
    there = transport.run(["uname", "-sm"]).check().stdout.decode("utf-8", "replace").split()
    here = [platform.system(), platform.machine()]
    if there != here:
        raise InstallError(
            f"the workstation is a {' '.join(there)} and has no uv {version}, and ours is for {' '.join(here)}",
            hint=f"install it there: python3 -m pip install --user uv=={version}",
        )
    put_compressed(transport, Path(own).read_bytes(), copy, mode=0o700)
    return _absolute(transport, copy)


def _absolute(transport: Transport, path: str) -> str:
    home = transport.run(["pwd"]).check().stdout.decode("utf-8", "surrogateescape").rstrip("\n")
    return f"{home}/{path}"


def _put_wheels(transport: Transport, lock: Lock) -> str:
    if not lock.local_wheels:
        return ""
    folder = f".cache/dsenv/wheels/{lock.id[:24]}"
    for wheel in lock.local_wheels:
        path = f"{folder}/{wheel.filename}"
        found = transport.run(["sha256sum", path]).stdout.decode("utf-8", "replace")
        if not found.startswith(wheel.sha256):
            transport.put(lock.wheel_file(wheel).read_bytes(), path)
    return _absolute(transport, folder)


def _converse(
    transport: Transport, command: Sequence[str], request: dict[str, Any], emit: Emit, cancel: Cancel
) -> dict[str, Any]:
    """Give the agent over there the request and follow its JSON lines to the answer."""
    report, pending = _progress(emit), b""
    done = threading.Event()
    with transport.open_channel(list(command)) as channel:
        watcher = threading.Thread(target=_close_on_cancel, args=(channel, cancel, done), daemon=True)
        watcher.start()
        try:
            with suppress(TransportError):  # an agent that ended already: what it said tells more
                channel.send(json.dumps(request).encode())
                channel.send_eof()
            while data := channel.receive():
                *lines, pending = (pending + data).split(b"\n")
                for message in map(json.loads, lines):
                    if "environment" in message:
                        answer: dict[str, Any] = message["environment"]
                        return answer
                    if "error" in message:
                        problem = message["error"]
                        raise InstallError(
                            problem["message"], hint=problem["hint"] or None, detail=problem["detail"] or None
                        )
                    report(message)
            cancel.check()
            words = channel.errors().decode("utf-8", "replace")
        except TransportError:
            cancel.check()
            raise
        except ValueError as error:
            raise InstallError(f"the agent on the workstation said something unknown: {error}") from error
        finally:
            done.set()
    raise InstallError("the agent on the workstation ended without an answer", detail=words[-2000:] or None)


def _close_on_cancel(channel: Channel, cancel: Cancel, done: threading.Event) -> None:
    while not done.wait(0.1):
        if cancel.requested:
            channel.close()
            return
