"""RunInstances: idempotency by ClientToken, MaxCount, default subnets, limits of user data, `resolve:ssm:` images,
protection from termination, the request behind a spot instance, and the vCPU quota. moto has none of them.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from tests.lab.cloud import catalog, quotas
from tests.lab.cloud.patches.replacing import refusal, replaces
from tests.lab.cloud.world import Box, World

_USER_DATA_LIMIT = 16384


def apply(world: World) -> None:
    _request(world)
    _hosts(world)


def _request(world: World) -> None:
    from moto.core.responses import ActionResult
    from moto.ec2.responses.instances import InstanceResponse

    tokens: dict[tuple[str, str, str], tuple[str, Any]] = {}

    @replaces(InstanceResponse, "run_instances")
    def run_instances(before: Any, self: Any) -> Any:
        get = self._get_param
        token = get("ClientToken")
        data = {name: value for name, value in self.data.items() if name != "ClientToken"}
        digest = hashlib.sha256(json.dumps(data, sort_keys=True, default=str).encode()).hexdigest()
        key = (self.current_account, self.region, str(token))
        with world.lock:
            if token and key in tokens:
                known, reservation = tokens[key]
                if known != digest:
                    message = "The client token you have provided is associated with a different set of parameters"
                    raise refusal("IdempotentParameterMismatch", message)
                return ActionResult(reservation)
            answer = _launch(world, before, self)
            reservation = list(self.ec2_backend.reservations.values())[-1]
            if token:
                tokens[key] = (digest, reservation)
            return answer


def _launch(world: World, before: Any, self: Any) -> Any:
    get = self._get_param
    user_data = get("UserData")
    if user_data and len(base64.b64decode(str(user_data))) > _USER_DATA_LIMIT:
        raise refusal("InvalidParameterValue", f"User data is limited to {_USER_DATA_LIMIT} bytes")
    count = int(get("MaxCount", if_none=get("MinCount", if_none="1")))
    image = _resolved(self, str(get("ImageId") or ""))
    spot = get("InstanceMarketOptions.MarketType") == "spot"
    instance_type = str(get("InstanceType", "m1.small"))
    if not quotas.vcpus(instance_type):
        raise refusal("InvalidParameterValue", f"Invalid value '{instance_type}' for InstanceType.")
    quotas.enforce(self.ec2_backend, instance_type, count, spot=spot)
    changed = {"MinCount": count, "ImageId": image or None}
    self._get_param = lambda name, *a, **k: changed[name] if name in changed else get(name, *a, **k)
    world.launching.now = True
    try:
        answer = before(self)
    finally:
        world.launching.now = False
        self._get_param = get
    if get("DisableApiTermination", False):
        for instance in list(self.ec2_backend.reservations.values())[-1].instances:
            instance.disable_api_termination = True
    return answer


def _resolved(self: Any, image: str) -> str:
    if not image.startswith("resolve:ssm:"):
        return image
    from moto.ssm.models import ssm_backends

    found = ssm_backends[self.current_account][self.region].get_parameter(image.removeprefix("resolve:ssm:"))
    if found is None:
        raise refusal("InvalidParameterValue", f"Parameter {image} not found")
    return str(found.value)


def _hosts(world: World) -> None:
    from moto.ec2.models.instances import InstanceBackend

    @replaces(InstanceBackend, "run_instances")
    def run_instances(before: Any, self: Any, image_id: str, count: int, *rest: Any, **named: Any) -> Any:
        if not named.get("subnet_id") and not any("SubnetId" in nic for nic in named.get("nics") or ()):
            _default_subnet(self, named)
        _primary_interface(named)
        _possible(self, image_id, named)
        reservation = before(self, image_id, count, *rest, **named)
        for instance in reservation.instances:
            box = Box(instance, self, catalog.user(self, instance.image_id))
            box.state = "pending"
            # The primary interface goes with its instance, else its groups would stay in use for ever.
            instance.nics[0].delete_on_termination = True
            world.add(box)
        return reservation


def _default_subnet(backend: Any, named: dict[str, Any]) -> None:
    """Where moto falls back to EC2-Classic, which is gone: the zone's default subnet, or that of any zone."""
    subnets = backend.get_default_subnets()
    zone = named.get("placement") or min(catalog.zones(backend, named["instance_type"]), default=None)
    if zone not in subnets:
        raise refusal("MissingInput", "No subnets found for the default VPC. Please specify a subnet.")
    nics = named.get("nics") or ()
    if nics:
        nics[0]["SubnetId"] = subnets[zone].id
    named["subnet_id"] = subnets[zone].id
    named.setdefault("associate_public_ip", None)


def _possible(backend: Any, image_id: str, named: dict[str, Any]) -> None:
    """The zone has the type, and the type can run the image."""
    from moto.ec2.models.instance_types import INSTANCE_TYPES

    wanted = named["instance_type"]
    subnet = named.get("subnet_id") or next(nic["SubnetId"] for nic in named["nics"] if "SubnetId" in nic)
    zone = backend.get_subnet(subnet).availability_zone
    if zone not in catalog.zones(backend, wanted):
        message = (
            f"Your requested instance type ({wanted}) is not supported in your requested Availability Zone ({zone})"
        )
        raise refusal("Unsupported", f"{message}. Please retry your request by not specifying an Availability Zone.")
    able = INSTANCE_TYPES[wanted]["ProcessorInfo"]["SupportedArchitectures"]
    image = backend.amis.get(image_id)
    if image is not None and image.architecture not in able:
        raise refusal(
            "InvalidParameterValue",
            f"The architecture '{able[0]}' of the specified instance type does not match the architecture "
            f"'{image.architecture}' of the specified AMI.",
        )


def _primary_interface(named: dict[str, Any]) -> None:
    """Without a word about it, the subnet decides whether there is a public address, also for a given interface."""
    nics = named.get("nics") or ()
    said = any(nic.get("AssociatePublicIpAddress") is not None for nic in nics)
    if not said:
        named["associate_public_ip"] = None
