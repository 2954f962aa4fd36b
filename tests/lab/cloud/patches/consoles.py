"""GetConsoleOutput is the host's console; the status checks say `initializing` until it was up for a moment.

moto has one old text for all instances, and healthy ones from the start.
"""

from __future__ import annotations

import time
from typing import Any

from tests.lab.cloud.patches.replacing import replaces
from tests.lab.cloud.world import World

_CHECKED_AFTER = 3.0


def apply(world: World) -> None:
    from moto.core.responses import ActionResult
    from moto.core.types import Base64EncodedString
    from moto.core.utils import utcnow
    from moto.ec2.models.instances import Instance
    from moto.ec2.responses.general import General

    @replaces(General, "get_console_output")
    def console(_: Any, self: Any) -> Any:
        instance = self.ec2_backend.get_instance(self._get_param("InstanceId"))
        output = "" if instance.state in ("pending", "terminated") else world.containers.console(instance.id)
        encoded = Base64EncodedString.from_raw_string(output)
        return ActionResult({"InstanceId": instance.id, "Timestamp": utcnow(), "Output": encoded})

    def status(self: Any) -> dict[str, Any]:
        if self.state != "running":
            return {"Status": "not-applicable"}
        if time.monotonic() - world.boxes[self.id].booted < _CHECKED_AFTER:
            return {"Details": [{"Name": "reachability", "Status": "initializing"}], "Status": "initializing"}
        return {"Details": [{"Name": "reachability", "Status": "passed"}], "Status": "ok"}

    for name in ("instance_status", "system_status"):
        setattr(Instance, name, property(status))
