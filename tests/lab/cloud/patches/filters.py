"""DescribeInstances' filters: those that moto lacks, wildcards everywhere, and an error of EC2's for unknown names."""

from __future__ import annotations

import fnmatch
from typing import Any

from tests.lab.cloud.patches.replacing import refusal, replaces
from tests.lab.cloud.world import World

_MISSING = {
    "client-token": "client_token",
    "instance-lifecycle": "lifecycle",
    "spot-instance-request-id": "spot_instance_request_id",
    "metadata-options.http-tokens": "metadata_options.http_tokens",
    "root-device-type": "root_device_type",
    "instance-state-code": "state_code",
    "network-interface.vpc-id": "vpc_id",
    "network-interface.subnet-id": "subnet_id",
    "reservation-id": "reservation_id",
}


def apply(world: World) -> None:
    from moto.ec2 import utils

    utils.filter_dict_attribute_mapping.update(_MISSING)

    @replaces(utils, "instance_value_in_filter_values")
    def among(_: Any, value: Any, wanted: list[str]) -> bool:
        values = value if isinstance(value, list) else [value]
        words = [str(v).lower() if isinstance(v, bool) else str(v) for v in values if v is not None]
        return any(fnmatch.fnmatchcase(word, pattern) for word in words for pattern in wanted)

    @replaces(utils, "passes_filter_dict")
    def passes(before: Any, instance: Any, filters: dict[str, Any]) -> bool:
        for name in filters:
            if name not in utils.filter_dict_attribute_mapping and not utils.is_tag_filter(name):
                raise refusal("InvalidParameterValue", f"The filter '{name}' is invalid")
        return bool(before(instance, filters))
