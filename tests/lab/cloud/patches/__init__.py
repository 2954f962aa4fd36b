"""What moto lacks or does otherwise than AWS, put right: one module a gap. They know moto's inside, so it is pinned."""

from __future__ import annotations

from tests.lab.cloud.patches import (
    consoles,
    disks,
    filters,
    groups,
    launches,
    options,
    parameters,
    places,
    sessions,
    spot,
    transitions,
    visibility,
)
from tests.lab.cloud.world import World


def apply(world: World) -> None:
    """Put all of them in place, before the first request."""
    # `launches` is last: it is the outermost for RunInstances and decides whether there is a new launch at all.
    for gap in (places, filters, transitions, groups, consoles, parameters, options, disks, spot, sessions, visibility):
        gap.apply(world)
    launches.apply(world)
