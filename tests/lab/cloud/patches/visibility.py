"""Eventual consistency: for as long as a fault says, a new instance is not to be found by any call.

moto shows everything at once, always.
"""

from __future__ import annotations

import time
from typing import Any

from tests.lab.cloud.patches.replacing import replaces
from tests.lab.cloud.world import World


def apply(world: World) -> None:
    from moto.ec2.models.instances import InstanceBackend

    @replaces(InstanceBackend, "all_reservations")
    def all_reservations(before: Any, self: Any, filters: Any = None) -> Any:
        now = time.monotonic()
        hidden = {box.id for box in list(world.boxes.values()) if box.visible_at > now}
        shown = before(self, filters)
        if not hidden or getattr(world.launching, "now", False):
            return shown
        for reservation in shown:
            reservation.instances = [instance for instance in reservation.instances if instance.id not in hidden]
        return [reservation for reservation in shown if reservation.instances]
