"""Addresses that the lab routes: public ones of its pool, private ones that are unique over all regions.

moto draws public addresses of other people's and gives the same private one in every region.
"""

from __future__ import annotations

import ipaddress
from typing import Any

from tests.lab.cloud.patches.replacing import replaces
from tests.lab.cloud.world import World


def apply(world: World) -> None:
    from moto.ec2.models import elastic_ip_addresses, elastic_network_interfaces
    from moto.ec2.models.subnets import Subnet
    from moto.ec2.models.vpcs import VPCBackend

    @replaces(elastic_network_interfaces, "random_public_ip")
    def random_public_ip(_: Any) -> str:
        return world.pool.take()

    @replaces(elastic_ip_addresses, "random_ip")
    def random_ip(_: Any) -> str:
        return world.pool.take()

    given = {world.ranges.gateway}

    @replaces(Subnet, "get_available_subnet_ip")
    def get_available_subnet_ip(before: Any, self: Any, instance: Any) -> str:
        with world.lock:
            while (address := before(self, instance)) in given:
                self._subnet_ips.pop(address, None)
            given.add(address)
            return str(address)

    @replaces(VPCBackend, "create_vpc")
    def create_vpc(before: Any, self: Any, cidr_block: str, *rest: Any, **named: Any) -> Any:
        if named.get("is_default"):
            cidr_block = str(world.ranges.private)
        return before(self, cidr_block, *rest, **named)

    @replaces(Subnet, "request_ip")
    def request_ip(before: Any, self: Any, ip: str, instance: Any) -> None:
        before(self, ip, instance)
        given.add(str(ipaddress.ip_address(ip)))
