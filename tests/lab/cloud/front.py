"""The door: every request is noted, meets its faults, and is answered by moto or by what moto has not got."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from tests.lab.cloud import catalog, prices, protocol, quotas
from tests.lab.cloud.control import Control
from tests.lab.cloud.faults import Fault, Faults
from tests.lab.cloud.protocol import Request
from tests.lab.cloud.world import World

_SETTLES = re.compile("(Authorize|Revoke|Associate|Disassociate|Modify|Create|Delete|Assign|Release)")

# The account of whoever has keys that moto does not know.
ACCOUNT = "123456789012"

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


class Front:
    """A WSGI application around moto's."""

    def __init__(self, world: World, faults: Faults, behind: Application) -> None:
        self._world = world
        self._faults = faults
        self._behind = behind
        self._calls: list[Request] = []
        self._control = Control(world, faults, self._calls)
        # Calls to EC2 are carried out one at a time: moto's records know no locks.
        self._turn = threading.Lock()

    def __call__(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path.startswith("/_lab/"):
            return self._control.answer(environ, path.removeprefix("/_lab/")).send(start)
        request = protocol.read(environ)
        self._calls.append(request)
        met = self._faults.met(request, self._zone(request))
        request.fault = ",".join(fault.kind for fault in met)
        if self._before(met):
            return _silence(environ, start)
        refused = next((fault for fault in met if fault.kind == "error"), None)
        if refused:
            said = refused.message or str(refused.value)
            return protocol.error(request.service, str(refused.value), said, refused.status).send(start)
        return self._carry_out(environ, start, request, met)

    def _before(self, met: list[Fault]) -> bool:
        """What happens before a call; whether it is not carried out and not answered."""
        silent = False
        for fault in met:
            if fault.kind in ("delay", "hang"):
                time.sleep(float(fault.value))
            if fault.kind == "kill" and fault.when == "before":
                fault.kill()
            silent |= fault.kind in ("hang", "dropped") or (fault.kind == "kill" and fault.when == "before")
        return silent

    def _carry_out(self, environ: dict[str, Any], start: Any, request: Request, met: list[Fault]) -> Iterable[bytes]:
        said: list[Any] = []
        with self._turn if request.service == "ec2" else contextlib.nullcontext():
            own = self._own(request)
            body = [b"".join(self._behind(environ, lambda *args: said.append(args)))] if own is None else []
            if request.service == "ec2" and _SETTLES.match(request.action):
                self._world.settle()
        lost = False
        for fault in met:
            if fault.kind == "kill":
                fault.kill()
            lost |= fault.kind in ("lost", "kill")
        if lost:
            return _silence(environ, start)
        if own is not None:
            return own.send(start)
        start(*said[0])
        return body

    def _own(self, request: Request) -> protocol.Answer | None:
        """The answer for a service that moto has not got."""
        if request.service == "pricing" and request.action == "GetProducts":
            return protocol.answer(prices.products(request.params))
        if request.service == "servicequotas":
            found = quotas.answer(request.action, request.params, request.region)
            return None if found is None else protocol.answer(found)
        return None

    def _zone(self, request: Request) -> str:
        """The zone in which a RunInstances would land."""
        if request.action != "RunInstances":
            return ""
        asked = request.params.get("Placement.AvailabilityZone")
        subnet = request.params.get("SubnetId") or request.params.get("NetworkInterface.1.SubnetId")
        if asked or not request.region:
            return str(asked or "")
        from moto.ec2.models import ec2_backends

        backend = ec2_backends[ACCOUNT][request.region]
        if not subnet:
            wanted = str(request.params.get("InstanceType", ""))
            return min(catalog.zones(backend, wanted), default="")
        known = {s.id: s.availability_zone for zone in backend.subnets.values() for s in zone.values()}
        return str(known.get(subnet, ""))


def _silence(environ: dict[str, Any], start: Any) -> list[bytes]:
    """Nothing is answered and the connection ends, as when the network does."""
    connection: socket.socket = environ["werkzeug.socket"]
    connection.shutdown(socket.SHUT_RDWR)
    start("500 silence", [("Content-Length", "0")])
    return [b""]
