"""`/_lab/...`: what tests order and ask. Answers are JSON; a mistake is answered with 400 and what it was."""

from __future__ import annotations

import json
import traceback
import urllib.parse
from collections.abc import Callable
from typing import Any

from tests.lab.cloud import ledger, net, protocol, quotas
from tests.lab.cloud.faults import Faults
from tests.lab.cloud.protocol import Answer, Request
from tests.lab.cloud.world import Box, World, say


class Control:
    def __init__(self, world: World, faults: Faults, calls: list[Request]) -> None:
        self._world = world
        self._faults = faults
        self._calls = calls
        self._checkip: str | None = None
        self._handlers: dict[str, Callable[[str, dict[str, Any]], Any]] = {
            "boxes": self._boxes,
            "calls": self._called,
            "checkip": self._address,
            "crash": self._crash,
            "faults": self._fault,
            "impostor": self._impostor,
            "interrupt": self._interrupt,
            "ledger": self._ledger,
            "net": self._net,
            "quotas": self._quota,
        }

    def answer(self, environ: dict[str, Any], what: str) -> Answer:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(length) if length else b""
        handler = self._handlers.get(what)
        if handler is None:
            return protocol.answer({"error": f"{what}: {', '.join(self._handlers)}"}, 404)
        try:
            params = json.loads(body) if body else dict(urllib.parse.parse_qsl(environ.get("QUERY_STRING", "")))
            result = handler(environ["REQUEST_METHOD"], params)
        except Exception as error:  # noqa: BLE001 - a mistake in an order is for the test that made it
            say(traceback.format_exc())
            return protocol.answer({"error": f"{type(error).__name__}: {error}"}, 400)
        return result if isinstance(result, Answer) else protocol.answer(result)

    def _box(self, params: dict[str, Any]) -> Box:
        return self._world.boxes[params["id"]]

    def _boxes(self, method: str, params: dict[str, Any]) -> Any:
        return {box.id: box.facts() for box in list(self._world.boxes.values())}

    def _called(self, method: str, params: dict[str, Any]) -> Any:
        listed = [call.facts() for call in list(self._calls)]
        if method == "DELETE":
            self._calls.clear()
        return listed

    def _fault(self, method: str, params: dict[str, Any]) -> Any:
        if method == "DELETE":
            self._faults.clear()
        elif params:
            self._faults.add(params)
        return self._faults.facts()

    def _ledger(self, method: str, params: dict[str, Any]) -> Any:
        return ledger.entries()

    def _address(self, method: str, params: dict[str, Any]) -> Any:
        """As the services that tell callers their address: plain text. `{"address": ...}` changes what it says."""
        if method == "POST":
            self._checkip = params.get("address")
        return Answer(200, "text/plain", f"{self._checkip or self._world.ranges.gateway}\n".encode())

    def _crash(self, method: str, params: dict[str, Any]) -> Any:
        self._world.crash(self._box(params))
        return {}

    def _interrupt(self, method: str, params: dict[str, Any]) -> Any:
        action, notice = params.get("action", "terminate"), float(params.get("notice", 120))
        return self._world.interrupt(self._box(params), action, notice)

    def _net(self, method: str, params: dict[str, Any]) -> Any:
        pid = self._box(params).pid
        if pid is None:
            raise ValueError("the host is not running")
        net.disturb(pid, params["do"])
        return {}

    def _impostor(self, method: str, params: dict[str, Any]) -> Any:
        if method == "DELETE":
            self._world.unmask(self._box(params))
            return {}
        return {"container": self._world.mask(self._box(params))}

    def _quota(self, method: str, params: dict[str, Any]) -> Any:
        """`{"code": ..., "value": ...}` changes a quota, DELETE undoes that."""
        if method == "DELETE":
            quotas.restore()
        for quota in quotas.QUOTAS:
            if quota.code == params.get("code"):
                quota.value = float(params["value"])
        return {quota.code: quota.value for quota in quotas.QUOTAS}
