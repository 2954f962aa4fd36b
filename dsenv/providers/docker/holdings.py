"""What an engine holds in dsenv's name, and what room it has."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

from dsenv.errors import ProviderError
from dsenv.models.machine import Identity, Resource
from dsenv.providers.base import BROKEN_RESIZE
from dsenv.providers.docker import container, memory, names
from dsenv.providers.docker.engine import Engine, is_absent, translated
from dsenv.providers.size import Size

_GB = 1 << 30
# Images are what makes the next `up` quick; only old ones are in the way.
_CACHED_SECONDS = 14 * 86400


def workstations(engine: Engine) -> list[Identity]:
    """Whose containers and volumes of this user are there."""
    wanted = {"label": [f"{names.USER}={names.user()}", names.ID]}
    with translated("cannot list what the engine holds"):
        containers = engine.api.containers(all=True, filters=wanted)
        volumes = engine.api.volumes(filters=wanted).get("Volumes") or []
    labels = [item.get("Labels") or {} for item in (*containers, *volumes)]
    found = {item[names.ID]: names.identity_of(item) for item in labels if item.get(names.KIND) != "image"}
    return [found[key] for key in sorted(found)]


def listing(engine: Engine) -> list[Resource]:
    """Containers, volumes and images of ours, with the reason why nothing needs one."""
    with translated("cannot list what the engine holds"):
        containers = engine.api.containers(all=True, filters={"label": [names.KIND]})
        volumes = engine.api.volumes(filters={"label": [names.KIND]}).get("Volumes") or []
        images = engine.api.images(filters={"label": [names.KIND]})
    found = [_container(engine, item) for item in containers]
    found += [_resource(engine, "volume", item["Name"], "", item.get("Labels") or {}) for item in volumes]
    needed = {item.get("ImageID") for item in containers}
    bases = {(item.get("Labels") or {}).get(names.BASE) for item in images if item["Id"] in needed}
    for item in images:
        tags = [tag.rpartition(":")[2] for tag in item.get("RepoTags") or []]
        unused = item["Id"] not in needed and not bases & set(tags)
        labels = item.get("Labels") or {}
        named = [tag for tag in item.get("RepoTags") or [] if not tag.startswith("<none>")]
        name = named[0] if named else str(item["Id"])
        created = int(item.get("Created") or 0)
        old = unused and time.time() - created > _CACHED_SECONDS
        why = "no workstation has it, and it is two weeks old; `dsenv up` makes it again" if old else ""
        owner = labels if labels.get(names.KIND) == "snapshot" else {}
        state = "cached" if unused else "used"
        found.append(_resource(engine, "image", name, state, owner, why, created=created * 1_000_000))
    return found


def _container(engine: Engine, item: dict[str, Any]) -> Resource:
    labels = item.get("Labels") or {}
    why = "a build that was broken off" if labels.get(names.KIND) == "build" and item["State"] != "running" else ""
    name = str(item["Names"][0]).lstrip("/")
    found = _resource(engine, "container", name, str(item["State"]), labels, why)
    saved = memory.read(names.identity_of(labels)) if labels.get(names.KIND) == "container" else None
    if saved and saved.resume:
        now = container.inspect(engine, name)
        return dataclasses.replace(found, note=BROKEN_RESIZE if now and container.broken_off(now, saved) else "")
    return found


def _resource(
    engine: Engine, kind: str, name: str, state: str, labels: dict[str, str], why: str = "", created: int = 0
) -> Resource:
    identity = names.identity_of(labels)
    return Resource(
        provider=container.PROVIDER,
        region=engine.address,
        kind=kind,
        id=name,
        state=state,
        workstation=labels.get(names.ID, ""),
        project=identity.project,
        name=identity.name,
        created=names.created_of(labels) or created or None,
        per_hour=None,
        orphan=why,
    )


def remove(engine: Engine, resource: Resource) -> None:
    """Delete one thing. Absent is success. Raises ProviderError for an image that is in use."""
    if resource.kind == "container":
        container.remove(engine, resource.id)
    elif resource.kind == "volume":
        container.remove_volume(engine, resource.id)
    else:
        try:
            with translated(f"cannot remove the image {resource.id}"):
                engine.api.remove_image(resource.id)
        except ProviderError as error:
            if not is_absent(error):
                raise


def check_room(engine: Engine, size: Size) -> None:
    """Raises ProviderError when the engine's machine is smaller than `size`."""
    with translated("cannot ask the engine what it has"):
        info = engine.api.info()
    has = Size(float(info.get("NCPU") or 0), round(int(info.get("MemTotal") or 0) / _GB, 1))
    short = [
        f"{wanted:g} {unit} are asked for, and it has {there:g}"
        for wanted, there, unit in ((size.cpus, has.cpus, "CPUs"), (size.memory_gb, has.memory_gb, "GB of memory"))
        if there and wanted > there
    ]
    if short:
        raise ProviderError(
            f"the machine of the docker engine {engine.address} is too small: {'; '.join(short)}",
            hint="lower `size` in dsenv.toml, or set `context` to a larger engine",
        )
    runtimes = info.get("Runtimes") or {}
    if size.gpus and "nvidia" not in runtimes and not info.get("CDISpecDirs"):
        raise ProviderError(
            f"the docker engine {engine.address} has no GPUs for containers",
            hint="install NVIDIA's container toolkit there, or leave gpu out of `size` in dsenv.toml",
        )
