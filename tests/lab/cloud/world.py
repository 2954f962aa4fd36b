"""The hosts behind the API: every instance that moto records is a machine here, and what becomes of it is told back."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.lab.cloud import net
from tests.lab.cloud.addresses import Pool, Ranges
from tests.lab.cloud.containers import POWERED_OFF, REBOOTED, Containers

CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}
# How long a host may take to shut down before it is cut off. EC2 gives minutes; no test wants to wait that long.
GRACE = 10


class Box:
    """One host: moto's record of the instance, and the machine."""

    def __init__(self, instance: Any, backend: Any, user: str) -> None:
        self.instance = instance
        self.backend = backend
        self.id: str = instance.id
        self.user = user
        self.pid: int | None = None
        self.mac = ""
        self.booted = 0.0
        self.visible_at = 0.0
        self.spot_action: dict[str, str] | None = None
        self.credentials = ""
        # The transition under way: a host that ends during one did not end by itself.
        self.wanted: str | None = None
        self.worker = ThreadPoolExecutor(1, thread_name_prefix=self.id)
        self.public_now: str | None = None
        self.rules_now: list[net.Rule] | None = None
        self.impostor: str | None = None

    @property
    def private(self) -> str:
        return str(self.instance.nics[0].private_ip_address)

    @property
    def public(self) -> str | None:
        """The public address that the record says; the machine follows it."""
        return self.instance.nics[0].public_ip if 0 in self.instance.nics else None

    @property
    def state(self) -> str:
        return str(self.instance._state.name)

    @state.setter
    def state(self, name: str) -> None:
        from moto.ec2.models.instances import InstanceState

        self.instance._state = InstanceState(name, CODES[name])

    def because(self, code: str, message: str) -> None:
        """Why it is in the state that it is in, as DescribeInstances says it."""
        from moto.ec2.models.instances import StateReason

        self.instance.state_reason = StateReason(f"{code}: {message}", code)
        self.instance._reason = message

    def facts(self) -> dict[str, Any]:
        return {
            "state": self.state,
            "private": self.private,
            "public": self.public,
            "pid": self.pid,
            "user": self.user,
            "region": self.backend.region_name,
        }


class World:
    """All hosts of the lab, by instance id. Transitions of one host happen in order, of several at once."""

    def __init__(self, ranges: Ranges, containers: Containers, network: net.Net) -> None:
        self.ranges = ranges
        self.containers = containers
        self.net = network
        self.pool = Pool(ranges.public)
        self.boxes: dict[str, Box] = {}
        self.by_address: dict[str, Box] = {}
        self.lock = threading.RLock()
        # `now` is true in a thread that carries out RunInstances: for that call there is no delay.
        self.launching = threading.local()
        # For how many seconds a new instance is not to be found: the eventual consistency that faults.py sets.
        self.hidden: Callable[[str], float] = lambda region: 0.0

    def add(self, box: Box) -> None:
        box.visible_at = time.monotonic() + self.hidden(box.backend.region_name)
        self.boxes[box.id] = box
        self.by_address[box.private] = box
        self.go(box, "create")

    def go(self, box: Box, what: str) -> None:
        """Begin a transition: create, start, restart, stop, reboot or terminate."""
        box.wanted = what
        box.worker.submit(self._go, box, what)

    def _go(self, box: Box, what: str) -> None:
        began = time.monotonic()
        try:
            getattr(self, f"_{what}")(box)
        except Exception as error:  # noqa: BLE001 - whatever it was, the host is lost and the API says so
            self._failed(box, what, error)
        finally:
            box.wanted = None
            say(f"{what} {box.id} -> {box.state} {time.monotonic() - began:.2f}s {box.instance._reason}")

    def _failed(self, box: Box, what: str, error: Exception) -> None:
        say(f"{what} {box.id} failed: {type(error).__name__}: {error}")
        if what == "create":
            box.instance.terminate()
        else:
            box.state = "terminated" if what == "terminate" else "stopped"
        box.because("Server.InternalError", "Internal error on launch")

    def _create(self, box: Box) -> None:
        self.containers.create(box.id, box.private, box.user)
        self._start(box)

    def _start(self, box: Box) -> None:
        box.pid, box.mac = self.containers.start(box.id)
        box.public_now, box.rules_now = None, None
        self._apply(box)
        self.net.appear(box.pid, box.mac, box.private, box.public)
        box.booted = time.monotonic()
        # A stop or a termination that was asked for in the meantime is not overwritten.
        if box.state == "pending":
            box.state = "running"

    def _restart(self, box: Box) -> None:
        """After a reboot from inside, unless it was to be stopped or terminated in the meantime."""
        if box.state == "running":
            self._start(box)

    def _stop(self, box: Box) -> None:
        self.containers.stop(box.id, GRACE)
        self._off(box)
        if box.state == "stopping":
            box.state = "stopped"

    def _off(self, box: Box) -> None:
        self._measure(box)
        box.pid = None
        self.unmask(box)
        self.net.vanish([address for address in (box.private, box.public_now) if address])
        box.public_now = None

    def _measure(self, box: Box) -> None:
        """What CloudWatch keeps of a host is when it ran last, and that once: AWS measures every five minutes."""
        from moto.cloudwatch.models import cloudwatch_backends

        datum = {"MetricName": "CPUUtilization", "Value": 1.0, "Dimensions": [{"Name": "InstanceId", "Value": box.id}]}
        backend = cloudwatch_backends[box.backend.account_id][box.backend.region_name]
        backend.put_metric_data("AWS/EC2", [datum])

    def _terminate(self, box: Box) -> None:
        self.containers.remove(box.id)
        self._off(box)
        self.by_address.pop(box.private, None)
        box.state = "terminated"

    def _reboot(self, box: Box) -> None:
        self.containers.stop(box.id, GRACE)
        self._start(box)

    def _apply(self, box: Box) -> None:
        """Make the machine's public address and packet filter what the record says now."""
        if box.pid is None:
            return
        if box.public != box.public_now:
            if box.public_now:
                self.net.vanish([box.public_now], box.pid)
            if box.public:
                self.net.appear(box.pid, box.mac, box.private, box.public)
            box.public_now = box.public
        rules = self._rules(box)
        if rules != box.rules_now:
            net.firewall(box.pid, rules)
            box.rules_now = rules

    def _rules(self, box: Box) -> list[net.Rule]:
        return [
            net.Rule(str(rule.ip_protocol), rule.from_port, rule.to_port, source)
            for group in sorted(box.instance.nics[0].group_set, key=lambda group: str(group.id))
            for rule in group.ingress_rules
            for source in self._sources(rule)
        ]

    def _sources(self, rule: Any) -> list[str]:
        if rule.ip_range.get("CidrIp"):
            return [str(rule.ip_range["CidrIp"])]
        member = (rule.source_group or {}).get("GroupId")
        if not member:
            return []
        others = [other for other in list(self.boxes.values()) if other.state != "terminated"]
        return [f"{o.private}/32" for o in others if member in [group.id for group in o.instance.nics[0].group_set]]

    def settle(self) -> None:
        """After a call that may have changed groups or addresses: every running host follows."""
        for box in list(self.boxes.values()):
            # A host that ends at this moment has no network left to be changed.
            with contextlib.suppress(net.CommandError):
                if box.state == "running":
                    self._apply(box)

    def ended(self, name: str, code: int) -> None:
        """A host ended: by itself, unless a transition is under way or it was switched on again already."""
        box = self.boxes.get(name)
        if box is None or box.wanted or box.state != "running" or self.containers.runs(name):
            return
        say(f"{name} ended by itself with {code}")
        if code == REBOOTED:
            self.go(box, "restart")
        elif code in (0, POWERED_OFF):
            self._end(box, "Client.InstanceInitiatedShutdown", "Instance initiated shutdown", box_shutdown(box))
        else:
            self._end(box, "Server.InternalError", "Internal error", "stop")

    def _end(self, box: Box, code: str, message: str, what: str) -> None:
        for nic in box.instance.nics.values():
            nic.stop()
        if what == "terminate":
            box.instance.terminate()
        else:
            box.state = "stopping"
            self.go(box, "stop")
        box.because(code, message)

    def interrupt(self, box: Box, action: str, notice: float) -> dict[str, str]:
        """Take a spot instance back: first the notice in its metadata, then the deed. Returns the notice."""
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + notice))
        box.spot_action = {"action": action, "time": at}
        reason = ("Server.SpotInstanceTermination", "Spot instance termination")
        timer = threading.Timer(notice, self._end, (box, *reason, action))
        timer.daemon = True
        timer.start()
        return box.spot_action

    def crash(self, box: Box) -> None:
        """The host dies without a word, as when its hardware fails."""
        self.containers.kill(box.id)

    def mask(self, box: Box) -> str:
        """Another machine, with a host key of its own, answers at the public address. Returns that machine's name."""
        self.unmask(box)
        name = box.impostor = f"impostor-{box.id}"
        self.containers.impostor(name)
        pid, mac = self.containers.seen(name)
        net.within(pid, "ip", "addr", "add", f"{box.public}/32", "dev", "eth0")
        self.net.lead(str(box.public), mac)
        return name

    def unmask(self, box: Box) -> None:
        if box.impostor:
            self.containers.remove(box.impostor)
            box.impostor = None
            if box.public and box.pid:
                self.net.lead(box.public, box.mac)

    def close(self) -> None:
        self.containers.sweep()
        self.net.close()


def box_shutdown(box: Box) -> str:
    """What a power-off from inside means for this instance: stop or terminate."""
    kind = box.instance.instance_initiated_shutdown_behavior
    return str(kind.get("Value") if isinstance(kind, dict) else kind)


def say(text: str) -> None:
    """A line in the lab's log."""
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)
