"""A container gets another size: in place where the engine can, else by a successor with the same files."""

from __future__ import annotations

import time
from typing import Any

from dsenv.errors import ProviderError
from dsenv.events import Emit, step
from dsenv.models.machine import Identity, Limits, State
from dsenv.providers.base import Spec
from dsenv.providers.docker import container, memory, names
from dsenv.providers.docker.container import Plan
from dsenv.providers.docker.engine import Engine, is_absent, translated
from dsenv.providers.size import Size

_SNAPSHOT = "snapshot"


def resize(engine: Engine, spec: Spec, wanted: Size, emit: Emit) -> bool:
    """Whether it runs now, as it did before. Raises ProviderError, with the container as it was, when it cannot be."""
    identity = spec.identity
    found = settled(engine, identity)
    if found is None:
        raise ProviderError(f"the container of {identity.name} is gone", hint="dsenv up")
    broken = container.broken_off(found, memory.read(identity))
    runs = broken or container.state_of(found) is State.RUNNING
    has = container.size_of(found)
    if has != wanted:
        with step(emit, "resize", f"resize to {str(wanted) or 'no limits'}"):
            try:
                _change(engine, identity, found, wanted, runs=runs)
            except ProviderError:
                if runs:
                    container.start(engine, identity)
                raise
    if broken:  # perhaps when only this was left to do
        container.start(engine, identity)
    memory.to_run_again_no_more(identity)
    now = container.inspect(engine, names.thing(identity))
    # Those of replacements before this one, and of such that were broken off.
    remove_snapshots(engine, identity, but=str(now["Config"]["Image"]) if now else "")
    return runs


def _change(engine: Engine, identity: Identity, found: dict[str, Any], wanted: Size, *, runs: bool) -> None:
    has = container.size_of(found)
    lifted = bool(has.memory_gb and not wanted.memory_gb) or bool(has.cpus and not wanted.cpus)
    if has.gpus == wanted.gpus and not lifted:
        with translated(f"cannot change {names.thing(identity)}"):
            engine.api.update_container(names.thing(identity), **container.limits_of(wanted))
    else:
        _replace(engine, identity, found, wanted, runs=runs)


def settled(engine: Engine, identity: Identity) -> dict[str, Any] | None:
    """The workstation's container, after a replacement that was broken off is finished or undone."""
    name, old = names.thing(identity), names.replaced(identity)
    found, before = container.inspect(engine, name), container.inspect(engine, old)
    if before is None:
        return found
    if found is not None and container.has_run(found):
        if not container.broken_off(before, memory.read(identity)):  # it was off when its resize began
            container.stop(engine, identity)
        container.remove(engine, old)
        return container.inspect(engine, name)
    if found is not None:  # whether the engine has what it asks for is not known
        container.remove(engine, name)
    container.rename(engine, old, name)
    return container.inspect(engine, name)


def remove_snapshots(engine: Engine, identity: Identity, but: str = "") -> None:
    """Remove the images that replacements have made of this workstation, except the one called `but`."""
    with translated("cannot list images"):
        labels = {"label": [f"{names.ID}={identity.id}", f"{names.KIND}={_SNAPSHOT}"]}
        found = engine.api.images(filters=labels)
    # By their names where they have one: an image that others are made from loses its name and goes with them.
    for name in [name for item in found for name in _called(item) if name != but]:
        try:
            with translated(f"cannot remove the image {name}"):
                engine.api.remove_image(name, force=True)
        except ProviderError as error:
            if not is_absent(error):
                raise


def _called(image: dict[str, Any]) -> list[str]:
    named = [tag for tag in image.get("RepoTags") or [] if not tag.startswith("<none>")]
    return named or [str(image["Id"])]


def _replace(engine: Engine, identity: Identity, found: dict[str, Any], wanted: Size, *, runs: bool) -> None:
    """A new container from what the old one has become: what was installed in it since stays too."""
    labels = found["Config"]["Labels"]
    name, old = names.thing(identity), names.replaced(identity)
    if runs:
        memory.to_run_again(identity, engine.address, found)
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
        raise
    if not runs:
        container.stop(engine, identity)
    container.remove(engine, old)
