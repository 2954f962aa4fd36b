"""ModifyInstanceMetadataOptions with one option leaves the others. moto forgets them."""

from __future__ import annotations

from typing import Any

from tests.lab.cloud.patches.replacing import replaces
from tests.lab.cloud.world import World


def apply(world: World) -> None:
    from moto.ec2.models.instances import InstanceBackend

    @replaces(InstanceBackend, "modify_instance_metadata_options")
    def modify(before: Any, self: Any, instance_id: str, **changed: Any) -> Any:
        now = self.get_instance(instance_id).metadata_options
        known = {
            "http_tokens": now.http_tokens,
            "hop_limit": now.http_put_response_hop_limit,
            "http_endpoint": now.http_endpoint,
            "http_protocol": now.http_protocol_ipv6,
            "metadata_tags": now.instance_metadata_tags,
        }
        said = {name: value for name, value in changed.items() if value is not None}
        return before(self, instance_id, **known | said)
