"""Disks: gp3's IOPS and throughput are kept, the root disk is where the image says, a volume is detached by its id.

moto drops the first, calls every root disk /dev/sda1, and fails for want of an instance id.
"""

from __future__ import annotations

from typing import Any

from tests.lab.cloud.patches.replacing import replaces
from tests.lab.cloud.world import World


def apply(world: World) -> None:
    from moto.ec2.models.elastic_block_store import EBSBackend
    from moto.ec2.models.instances import Instance
    from moto.ec2.responses.instances import InstanceResponse

    @replaces(EBSBackend, "detach_volume")
    def detach(before: Any, self: Any, volume_id: str, instance_id: str | None, device_path: str) -> Any:
        attachment = self.get_volume(volume_id).attachment
        if instance_id is None and attachment is not None:
            instance_id = attachment.instance.id
        return before(self, volume_id, instance_id, device_path)

    @replaces(Instance, "setup_defaults")
    def setup_defaults(_: Any, self: Any) -> None:
        self.add_block_device(8, self.root_device_name, None, False, True, None, volume_type="gp3")

    @replaces(InstanceResponse, "run_instances")
    def run_instances(before: Any, self: Any) -> Any:
        answer = before(self)
        for mapping in self._get_param("BlockDeviceMappings", []):
            asked = mapping.get("Ebs", {})
            for instance in list(self.ec2_backend.reservations.values())[-1].instances:
                device = instance.block_device_mapping.get(mapping.get("DeviceName"))
                if device is not None:
                    _describe(self.ec2_backend.get_volume(device.volume_id), asked)
        return answer


def _describe(volume: Any, asked: dict[str, Any]) -> None:
    volume.volume_type = asked.get("VolumeType") or volume.volume_type
    if volume.volume_type == "gp3":
        volume.iops = int(asked.get("Iops") or 3000)
        volume.throughput = int(asked.get("Throughput") or 125)
