"""A security group that an instance, an interface or another group's rule uses cannot be deleted. moto deletes it."""

from __future__ import annotations

from typing import Any

from tests.lab.cloud.patches.replacing import refusal, replaces
from tests.lab.cloud.world import World


def apply(world: World) -> None:
    from moto.ec2.models.security_groups import SecurityGroupBackend

    @replaces(SecurityGroupBackend, "delete_security_group")
    def delete(before: Any, self: Any, name: str | None = None, group_id: str | None = None) -> Any:
        wanted = group_id or getattr(self.get_security_group_by_name_or_id(name), "id", None)
        if wanted and (_used_by_instance(world, self, wanted) or _used_elsewhere(self, wanted)):
            raise refusal("DependencyViolation", f"resource {group_id or name} has a dependent object")
        return before(self, name=name, group_id=group_id)


def _used_by_instance(world: World, backend: Any, group_id: str) -> bool:
    """An instance holds its groups until it is terminated, not only until it was asked to."""
    return any(
        group_id in [group.id for group in box.instance.nics[0].group_set]
        for box in list(world.boxes.values())
        if box.backend is backend and box.state != "terminated"
    )


def _used_elsewhere(backend: Any, group_id: str) -> bool:
    if any(group_id in [group.id for group in eni._group_set] for eni in list(backend.enis.values())):
        return True
    return any(
        (rule.source_group or {}).get("GroupId") == group_id
        for groups in backend.groups.values()
        for group in groups.values()
        if group.id != group_id
        for rule in (*group.ingress_rules, *group.egress_rules)
    )
