"""Start, stop, reboot and terminate move real machines and pass through pending, stopping and shutting-down.

moto jumps to the end, starts what was terminated, changes the type of a running instance, and knows neither another
shutdown behavior nor other user data.
"""

from __future__ import annotations

import base64
import copy
from typing import Any

from tests.lab.cloud.patches.replacing import refusal, replaces
from tests.lab.cloud.world import World

_ONLY_STOPPED = ("instance_type", "user_data", "kernel", "ramdisk")


def apply(world: World) -> None:
    _stop_and_start(world)
    _terminate(world)
    _attributes()


def _only(instance: Any, allowed: tuple[str, ...], done: str) -> None:
    if instance.state not in allowed:
        message = f"The instance '{instance.id}' is not in a state from which it can be {done}."
        raise refusal("IncorrectInstanceState", message)


def _stop_and_start(world: World) -> None:
    from moto.core.utils import utcnow
    from moto.ec2.models.instances import Instance

    @replaces(Instance, "start")
    def start(before: Any, self: Any) -> Any:
        _only(self, ("stopped", "running", "pending"), "started")
        previous = copy.copy(self._state)
        if previous.name == "stopped":
            before(self)
            self.launch_time = utcnow()
            _keep_elastic_address(self)
            _go(world, self, "pending", "start")
        return previous

    @replaces(Instance, "stop")
    def stop(before: Any, self: Any) -> Any:
        _only(self, ("running", "pending", "stopping", "stopped"), "stopped")
        if self.lifecycle == "spot" and not getattr(self, "spot_persistent", False):
            message = f"You can't stop the Spot Instance '{self.id}' because it is associated with a one-time request"
            raise refusal("UnsupportedOperation", message)
        previous = copy.copy(self._state)
        if previous.name in ("running", "pending"):
            before(self)
            _keep_elastic_address(self)
            _go(world, self, "stopping", "stop")
        return previous

    @replaces(Instance, "reboot")
    def reboot(_: Any, self: Any) -> None:
        _only(self, ("running",), "rebooted")
        world.go(world.boxes[self.id], "reboot")


def _terminate(world: World) -> None:
    from moto.ec2.models.instances import Instance

    @replaces(Instance, "terminate")
    def terminate(before: Any, self: Any) -> Any:
        previous = copy.copy(self._state)
        if previous.name not in ("terminated", "shutting-down"):
            before(self)
            _go(world, self, "shutting-down", "terminate")
        return previous


def _go(world: World, instance: Any, state: str, what: str) -> None:
    box = world.boxes[instance.id]
    box.state = state
    world.go(box, what)


def _keep_elastic_address(instance: Any) -> None:
    for elastic in instance.ec2_backend.addresses:
        if elastic.instance is instance and elastic.eni is instance.nics[0]:
            instance.nics[0].public_ip = elastic.public_ip


def _attributes() -> None:
    from moto.core.responses import EmptyResult
    from moto.core.types import Base64EncodedString
    from moto.ec2.models.instances import InstanceBackend
    from moto.ec2.responses.instances import InstanceResponse

    @replaces(InstanceBackend, "modify_instance_attribute")
    def modify(before: Any, self: Any, instance_id: str, key: str, value: Any) -> Any:
        instance = self.get_instance(instance_id)
        if key in _ONLY_STOPPED and instance.state != "stopped":
            raise refusal("IncorrectInstanceState", f"The instance '{instance_id}' is not in the 'stopped' state.")
        return before(self, instance_id, key, value)

    @replaces(InstanceResponse, "modify_instance_attribute")
    def respond(before: Any, self: Any) -> Any:
        instance, change = self._get_param("InstanceId"), self.ec2_backend.modify_instance_attribute
        behavior = self._get_param("InstanceInitiatedShutdownBehavior.Value")
        data = self._get_param("UserData.Value")
        if behavior is None and data is None:
            return before(self)
        if behavior is not None:
            change(instance, "instance_initiated_shutdown_behavior", behavior)
        else:
            # It was decoded when the request was read; moto decodes it again.
            change(instance, "user_data", Base64EncodedString(base64.b64encode(data).decode()))
        return EmptyResult()
