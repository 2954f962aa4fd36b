"""One workstation's container and volume: made, looked at, changed, removed. Each step may be repeated."""

from __future__ import annotations

import dataclasses
import re
import socket
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from dsenv.errors import ProviderError
from dsenv.models.machine import Endpoint, Identity, Limits, Machine, State
from dsenv.providers.base import BROKEN_RESIZE
from dsenv.providers.docker import inside, memory, names
from dsenv.providers.docker.build import CERTIFICATES, certificates
from dsenv.providers.docker.engine import Engine, is_absent, is_conflict, translated
from dsenv.providers.docker.memory import Memory
from dsenv.providers.size import Size
from dsenv.providers.watch import MachineFile
from dsenv.state import installation

PROVIDER = "docker"
_CPU_PERIOD = 100_000  # microseconds
_GB = 1 << 30
_SHARED_MEMORY = "2g"  # the engine's own 64 MB break the workers of every training loop
_STOP_SECONDS = 20
# Asked to end, or the engine's machine went down under it; anything else it did not want.
_STOPPED_CODES = frozenset({0, 143, 255})


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a new container is to be."""

    identity: Identity
    image: str
    size: Size
    limits: Limits
    host_key: str  # public


def inspect(engine: Engine, name: str) -> dict[str, Any] | None:
    """What the engine knows of a container; None when there is none."""
    try:
        with translated(f"cannot look at the container {name}"):
            found: dict[str, Any] = engine.api.inspect_container(name)
            return found
    except ProviderError as error:
        if is_absent(error):
            return None
        raise


def volume(engine: Engine, identity: Identity) -> dict[str, str] | None:
    """The labels of the workstation's volume; None when there is none."""
    try:
        with translated(f"cannot look at the volume {names.thing(identity)}"):
            return dict(engine.api.inspect_volume(names.thing(identity)).get("Labels") or {})
    except ProviderError as error:
        if is_absent(error):
            return None
        raise


def ensure_volume(engine: Engine, identity: Identity) -> int:
    """The workstation's files have a place; returns when it was made. Everything else can be made again."""
    found = volume(engine, identity)
    if found is None:
        with translated(f"cannot make the volume {names.thing(identity)}"):
            labels = names.labels(identity, "volume")
            # Somebody may have been quicker: it is the first one's then, with the first one's labels.
            found = dict(engine.api.create_volume(names.thing(identity), labels=labels).get("Labels") or {})
    return names.created_of(found)


def make(engine: Engine, plan: Plan, created: int) -> bool:
    """Make the container, not started and without its files. False when there is one already."""
    api = engine.api
    name = names.thing(plan.identity)
    labels = names.labels(plan.identity, "container", created) | {
        names.HOST_KEY: plan.host_key,
        names.LIMITS: names.limits_label(plan.limits),
        names.IMAGE: plan.image,
        names.INSTALLATION: installation.here(),
        names.MACHINE: socket.gethostname(),
    }
    try:
        with translated(f"cannot make the container {name}"):
            api.create_container(
                plan.image,
                entrypoint=list(inside.COMMAND),
                command=[],
                user="root",
                working_dir="/",
                name=name,
                hostname=re.sub(r"[^A-Za-z0-9-]", "-", f"{plan.identity.project}-{plan.identity.name}")[:63].strip("-"),
                labels=labels,
                environment={"SSL_CERT_FILE": CERTIFICATES} if certificates() else None,
                ports=[names.SSH_PORT.split("/")[0]] if engine.local else None,
                stop_signal="SIGTERM",
                host_config=api.create_host_config(**_host(engine, name, plan.size)),
            )
    except ProviderError as error:
        if is_conflict(error):
            return False
        raise
    return True


def _host(engine: Engine, volume_name: str, size: Size) -> dict[str, Any]:
    """What the engine grants: ports on loopback only, the volume, processors, memory, GPUs."""
    from docker.types import DeviceRequest, LogConfig, Mount

    options: dict[str, Any] = {
        "mounts": [Mount(names.HOME, volume_name, type="volume")],
        "restart_policy": {"Name": "no"},
        "shm_size": _SHARED_MEMORY,
        "log_config": LogConfig(type="json-file", config={"max-size": "5m", "max-file": "2"}),
        **limits_of(size),
    }
    if engine.local:
        options["port_bindings"] = {names.SSH_PORT: ("127.0.0.1", None)}
    if size.gpus:
        options["device_requests"] = [DeviceRequest(count=size.gpus, capabilities=[["gpu"]])]
    return options


def limits_of(size: Size) -> dict[str, int]:
    """Processors and memory in the words that creating and updating a container have in common."""
    options: dict[str, int] = {}
    if size.cpus:
        options |= {"cpu_period": _CPU_PERIOD, "cpu_quota": int(size.cpus * _CPU_PERIOD)}
    if size.memory_gb:
        memory_bytes = int(size.memory_gb * _GB)
        options |= {"mem_limit": memory_bytes, "memswap_limit": memory_bytes}
    return options


def size_of(found: dict[str, Any]) -> Size:
    """The size of a container that exists."""
    host = found["HostConfig"]
    quota, period = int(host.get("CpuQuota") or 0), int(host.get("CpuPeriod") or 0)
    gpus = sum(int(item.get("Count") or 0) for item in host.get("DeviceRequests") or [])
    return Size(
        quota / period if quota > 0 and period else 0.0, round(int(host.get("Memory") or 0) / _GB, 3), max(gpus, 0)
    )


def put(engine: Engine, identity: Identity, files: Sequence[MachineFile]) -> None:
    """Write files of root's into the container, running or not."""
    with translated(f"cannot put files into {names.thing(identity)}"):
        engine.api.put_archive(names.thing(identity), "/", inside.archive(files))


def start(engine: Engine, identity: Identity) -> None:
    """Running already is success, and so is a container that was only frozen."""
    name = names.thing(identity)
    found = inspect(engine, name)
    with translated(f"cannot start {name}"):
        if found is not None and found["State"].get("Paused"):
            engine.api.unpause(name)
        engine.api.start(name)


def restart(engine: Engine, identity: Identity) -> None:
    """End all that runs in the container and start it again."""
    with translated(f"cannot start {names.thing(identity)} again"):
        engine.api.restart(names.thing(identity), timeout=_STOP_SECONDS)


def stop(engine: Engine, identity: Identity) -> None:
    """Stopped already is success."""
    with translated(f"cannot stop {names.thing(identity)}"):
        engine.api.stop(names.thing(identity), timeout=_STOP_SECONDS)


def restart_watch(engine: Engine, identity: Identity) -> None:
    """Let the idle watch read its limits again."""
    with translated(f"cannot reach {names.thing(identity)}"):
        engine.api.kill(names.thing(identity), "SIGHUP")


def remove(engine: Engine, name: str) -> None:
    """Remove a container, running or not. Absent is success."""
    try:
        with translated(f"cannot remove the container {name}"):
            engine.api.remove_container(name, force=True)
    except ProviderError as error:
        if not (is_absent(error) or is_conflict(error)):
            raise


def remove_volume(engine: Engine, name: str) -> None:
    """Remove a volume with its files. Absent is success."""
    try:
        with translated(f"cannot remove the volume {name}"):
            engine.api.remove_volume(name)
    except ProviderError as error:
        if not is_absent(error):
            raise


def rename(engine: Engine, old: str, new: str) -> None:
    with translated(f"cannot rename the container {old}"):
        engine.api.rename(old, new)


def last_words(engine: Engine, identity: Identity) -> str:
    """The end of what the container has printed, for a message."""
    with translated(f"cannot read the log of {names.thing(identity)}"):
        return str(engine.api.logs(names.thing(identity), tail=12).decode("utf-8", "replace")).strip()


def has_run(found: dict[str, Any]) -> bool:
    """Whether a container was ever started."""
    return not str(found["State"].get("StartedAt", "")).startswith("0001")


def broken_off(found: dict[str, Any], saved: Memory | None) -> bool:
    """Whether a container is off since a resize that did not come to its end. One that was started since is not."""
    off = state_of(found) is not State.RUNNING
    return off and saved is not None and saved.resume == str(found["State"].get("StartedAt"))


def state_of(found: dict[str, Any]) -> State:
    """What a container is doing, in our words."""
    state = found["State"]
    match state.get("Status"):
        case "running":
            return State.RUNNING
        case "paused":
            return State.STOPPED
        case "restarting":
            return State.STARTING
        case "removing":
            return State.STOPPING
        case "exited" if state.get("ExitCode") in _STOPPED_CODES and not state.get("OOMKilled"):
            return State.STOPPED
    return State.CRASHED


def machine_of(engine: Engine, found: dict[str, Any], saved: Memory | None) -> Machine:
    """The workstation that a container is. The limits that are remembered override those that it was made with."""
    labels = found["Config"]["Labels"]
    identity = names.identity_of(labels)
    state = state_of(found)
    running = state is State.RUNNING
    broken = BROKEN_RESIZE if broken_off(found, saved) else ""
    return Machine(
        identity=identity,
        provider=PROVIDER,
        state=state,
        alias=identity.alias,
        created=names.created_of(labels),
        home=names.HOME,
        python="python3",
        shares_files=False,
        endpoint=_endpoint(engine, found, identity) if running else None,
        note=", ".join(part for part in ("container", str(size_of(found)), broken) if part),
        region=engine.address,
        started=_microseconds(found["State"].get("StartedAt", "")) if running else None,
        limits=saved.limits if saved else names.limits_of(labels.get(names.LIMITS, "")),
    )


def half_made(address: str, labels: dict[str, str]) -> Machine:
    """The workstation of which only the volume, and so its files, is there."""
    identity = names.identity_of(labels)
    return Machine(
        identity=identity,
        provider=PROVIDER,
        state=State.CRASHED,
        alias=identity.alias,
        created=names.created_of(labels),
        home=names.HOME,
        python="python3",
        shares_files=False,
        endpoint=None,
        note="its container is gone, its files are there",
        region=address,
    )


def _endpoint(engine: Engine, found: dict[str, Any], identity: Identity) -> Endpoint | None:
    name = names.thing(identity)
    host_key = found["Config"]["Labels"].get(names.HOST_KEY, "")
    alias = f"dsenv-{identity.id}"
    key = memory.key_file(identity)
    if not engine.local:
        proxy = (*engine.command, "exec", "--interactive", "--user", "root", name, *inside.SERVER_ON_A_STREAM)
        return Endpoint(name, 22, names.LOGIN, key, host_key, alias, proxy)
    published = (found["NetworkSettings"].get("Ports") or {}).get(names.SSH_PORT) or []
    if not published:
        return None
    return Endpoint("127.0.0.1", int(published[0]["HostPort"]), names.LOGIN, key, host_key, alias)


def _microseconds(text: str) -> int | None:
    """The engine's time, as 2026-01-31T12:00:00.123456789Z."""
    match = re.match(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?Z$", text)
    if not match:
        return None
    seconds = datetime.fromisoformat(match[1]).replace(tzinfo=UTC).timestamp()
    return int(seconds) * 1_000_000 + int((match[2] or "0").ljust(6, "0")[:6])
