"""A container gets another size: in place where the engine can, else by a successor with the same files."""

from __future__ import annotations

import time
from typing import Any

from dsenv.errors import ProviderError
from dsenv.events import Emit, step
from dsenv.models.machine import Identity, Limits, State
from dsenv.providers.base import Spec
from dsenv.providers.docker import container, names
from dsenv.providers.docker.container import Plan
from dsenv.providers.docker.engine import Engine, is_absent, translated
from dsenv.providers.size import Size

_SNAPSHOT = "snapshot"


def resize(engine: Engine, spec: Spec, wanted: Size, emit: Emit) -> None:
    """Raises ProviderError, with the container as it was, when that cannot be had."""
    found = settled(engine, spec.identity)
    if found is None:
        raise ProviderError(f"the container of {spec.identity.name} is gone", hint="dsenv up")
    has = container.size_of(found)
    if has == wanted:
        return
    lifted = bool(has.memory_gb and not wanted.memory_gb) or bool(has.cpus and not wanted.cpus)
    with step(emit, "resize", f"resize to {str(wanted) or 'no limits'}"):
        if has.gpus == wanted.gpus and not lifted:
            with translated(f"cannot change {names.thing(spec.identity)}"):
                engine.api.update_container(names.thing(spec.identity), **container.limits_of(wanted))
        else:
            _replace(engine, spec.identity, found, wanted)


def settled(engine: Engine, identity: Identity) -> dict[str, Any] | None:
    """The workstation's container, after a replacement that was broken off is finished or undone."""
    name, old = names.thing(identity), names.replaced(identity)
    found, before = container.inspect(engine, name), container.inspect(engine, old)
    if before is None:
        return found
    if found is None:
        container.rename(engine, old, name)
        return container.inspect(engine, name)
    container.remove(engine, old)
    return found


def remove_snapshots(engine: Engine, identity: Identity) -> None:
    """Remove the images that replacements have made of this workstation."""
    with translated("cannot list images"):
        labels = {"label": [f"{names.ID}={identity.id}", f"{names.KIND}={_SNAPSHOT}"]}
        found = engine.api.images(filters=labels)
    for item in found:
        try:
            with translated(f"cannot remove the image {item['Id'][:19]}"):
                engine.api.remove_image(item["Id"], force=True)
        except ProviderError as error:
            if not is_absent(error):
                raise


def _replace(engine: Engine, identity: Identity, found: dict[str, Any], wanted: Size) -> None:
    """A new container from what the old one has become: what was installed in it since stays too."""
    labels = found["Config"]["Labels"]
    name, old = names.thing(identity), names.replaced(identity)
    if container.state_of(found) is State.RUNNING:
        container.stop(engine, identity)
    tag = f"{_SNAPSHOT}-{identity.id}-{int(time.time())}".lower()[:128]
    kept = {names.ID: identity.id, names.KIND: _SNAPSHOT}
    with translated("cannot copy the container"), engine.patient():
        changes = [f'LABEL {key}="{value}"' for key, value in kept.items()]
        engine.api.commit(name, names.REPOSITORY, tag, changes=changes)
    plan = Plan(
        identity,
        f"{names.REPOSITORY}:{tag}",
        wanted,
        names.limits_of(labels.get(names.LIMITS, "")) or Limits(0, 0),
        labels.get(names.HOST_KEY, ""),
    )
    container.rename(engine, name, old)
    try:
        container.make(engine, plan, names.created_of(labels))
        container.start(engine, identity)  # only now does the engine say whether it has what is asked for
    except ProviderError:
        container.remove(engine, name)
        container.rename(engine, old, name)
        if container.state_of(found) is State.RUNNING:
            container.start(engine, identity)
        raise
    container.remove(engine, old)
    if container.state_of(found) is not State.RUNNING:
        container.stop(engine, identity)
