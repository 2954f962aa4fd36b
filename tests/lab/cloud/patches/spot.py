"""RunInstances with a spot market leaves a request that can be found, cancelled, and that ends with its instance.

moto marks the instance and forgets the request. Spot prices are of today, and a share of those on demand.
"""

from __future__ import annotations

from typing import Any

from tests.lab.cloud import prices
from tests.lab.cloud.patches.replacing import replaces
from tests.lab.cloud.world import World

SHARE = 0.35


class Request:
    """What DescribeSpotInstanceRequests tells of it, in the words of the answer."""

    def __init__(self, instance: Any, options: dict[str, Any], tags: dict[str, str]) -> None:
        from moto.ec2.utils import random_spot_request_id

        self.instance = instance
        self.id: str = random_spot_request_id()
        self.ec2_backend = instance.ec2_backend
        self.cancelled = False
        self.type = str(options.get("SpotInstanceType") or "one-time")
        self.instance_interruption_behavior = str(options.get("InstanceInterruptionBehavior") or "terminate")
        self.instance_id = instance.id
        self.spot_instance_request_id = self.id
        self.spot_price = str(options.get("MaxPrice") or "0.050000")
        self.create_time = instance.launch_time
        self.product_description = "Linux/UNIX"
        self.launched_availability_zone = instance.placement.zone
        self.ec2_backend.create_tags([self.id], tags)

    @property
    def tags(self) -> list[dict[str, str]]:
        return list(self.ec2_backend.describe_tags(filters={"resource-id": [self.id]}))

    @property
    def state(self) -> str:
        if self.instance.state in ("shutting-down", "terminated"):
            return "closed" if self.type == "one-time" or self.cancelled else "open"
        return "cancelled" if self.cancelled else "active"

    @property
    def status(self) -> dict[str, Any]:
        return {"Code": "fulfilled" if self.state == "active" else "instance-terminated-by-user", "Message": ""}

    def get_tags(self) -> list[dict[str, str]]:
        return self.tags

    def get_filter_value(self, name: str, method: str | None = None) -> Any:
        if name.startswith("tag:"):
            return {tag["key"]: tag["value"] for tag in self.tags}.get(name.removeprefix("tag:"))
        if name == "tag-key":
            return [tag["key"] for tag in self.tags]
        return getattr(self, name.replace("-", "_"), None)


def apply(world: World) -> None:
    from moto.core.responses import ActionResult
    from moto.core.utils import utcnow
    from moto.ec2.models.spot_requests import SpotRequestBackend
    from moto.ec2.responses.instances import InstanceResponse
    from moto.ec2.responses.spot_instances import SpotInstances

    @replaces(InstanceResponse, "run_instances")
    def run_instances(before: Any, self: Any) -> Any:
        answer = before(self)
        options = self._get_param("InstanceMarketOptions.SpotOptions", {}) or {}
        tags = self._parse_tag_specification().get("spot-instances-request", {})
        for instance in list(self.ec2_backend.reservations.values())[-1].instances:
            if instance.lifecycle == "spot" and not getattr(instance, "spot_instance_request_id", None):
                request = Request(instance, options, tags)
                instance.spot_instance_request_id = request.id
                instance.spot_persistent = request.type == "persistent"
                self.ec2_backend.spot_instance_requests[request.id] = request
        return answer

    @replaces(SpotInstances, "describe_spot_price_history")
    def history(_: Any, self: Any) -> Any:
        wanted, filters = self._get_param("InstanceTypes", []), self._filters_from_querystring()
        rows = [
            {
                "InstanceType": offer["InstanceType"],
                "ProductDescription": "Linux/UNIX",
                "SpotPrice": f"{SHARE * (prices.of(offer['InstanceType']) or 0):.6f}",
                "AvailabilityZone": offer["Location"],
                "Timestamp": utcnow(),
            }
            for offer in self.ec2_backend.describe_spot_price_history(wanted, filters)
        ]
        return ActionResult({"SpotPriceHistory": rows})

    @replaces(SpotRequestBackend, "cancel_spot_instance_requests")
    def cancel(before: Any, self: Any, request_ids: list[str]) -> Any:
        ours = [r for r in self.spot_instance_requests.values() if isinstance(r, Request) and r.id in request_ids]
        for request in ours:
            request.cancelled = True
        rest = [i for i in request_ids if i not in {request.id for request in ours}]
        return [*ours, *(before(self, rest) if rest else ())]
