"""Which addresses a lab may use: its own, so that several labs of one machine never meet, and no one else's."""

from __future__ import annotations

import dataclasses
import ipaddress
import json
import random
import subprocess
import threading
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import IO

from tests.lab import locks

SLOTS = 16
LABEL = "dsenv.lab.slot"
METADATA = "169.254.169.254"


@dataclasses.dataclass(frozen=True)
class Ranges:
    """The addresses and names of one lab; `slot` tells it from the others on this machine.

    `family` is which block the addresses are from: the second is for machines whose own network is all of 10/8.
    """

    slot: int
    family: int = 0

    @property
    def private(self) -> IPv4Network:
        """The default VPC of every region, and what the bridge carries."""
        return IPv4Network((f"10.{60 + self.slot}.0.0/16", f"100.{96 + self.slot}.0.0/16")[self.family])

    @property
    def public(self) -> IPv4Network:
        """A part of the range that is set aside for benchmarks: no host of the Internet has it."""
        return IPv4Network(f"198.{18 + self.family}.{self.slot * 4}.0/22")

    @property
    def gateway(self) -> str:
        return str(self.private[1])

    @property
    def bridge(self) -> str:
        return f"dslab{self.slot}"

    @property
    def label(self) -> str:
        """The mark of everything that the engine holds for this slot."""
        return f"{LABEL}={self.slot}"

    def free(self, taken: set[IPv4Network]) -> bool:
        return not any(mine.overlaps(other) for mine in (self.private, self.public) for other in taken)


def reserve() -> tuple[Ranges, IO[str]]:
    """The first slot that is free, and the lock that keeps it until the file is closed or the process dies."""
    taken = set(_in_use())
    for slot in range(SLOTS):
        free = [ranges for ranges in _families(slot) if ranges.free(taken)]
        if free and (lock := locks.take(f"slot-{slot}")):
            return free[0], lock
    raise RuntimeError(f"all {SLOTS} slots for labs are taken, or this machine needs their addresses itself")


def abandoned(mine: Ranges, slots: Iterable[int]) -> Iterator[Ranges]:
    """Those of the slots that no other living lab holds. Each is kept while the caller works on it."""
    for slot in slots:
        if slot == mine.slot:
            yield from _families(slot)
        elif lock := locks.take(f"slot-{slot}"):
            with lock:
                yield from _families(slot)


def _families(slot: int) -> Iterator[Ranges]:
    yield Ranges(slot, 0)
    yield Ranges(slot, 1)


def _in_use() -> Iterator[IPv4Network]:
    """Networks that this machine talks to: its routes but those of labs, and its name servers."""
    done = subprocess.run(["ip", "-json", "-4", "route", "show"], capture_output=True, text=True, check=True)
    for route in json.loads(done.stdout):
        ours = str(route.get("dev", "")).startswith("dslab") or route.get("type") == "blackhole"
        if route["dst"] != "default" and not ours:
            yield ipaddress.IPv4Network(route["dst"])
        if "gateway" in route:
            yield ipaddress.IPv4Network(route["gateway"])
    for line in Path("/etc/resolv.conf").read_text(encoding="utf-8").splitlines():
        words = line.split()
        if words[:1] == ["nameserver"] and ":" not in words[1]:
            yield ipaddress.IPv4Network(words[1])


class Pool:
    """The public addresses. One that was given back is not given out again while others are left."""

    def __init__(self, network: IPv4Network) -> None:
        self._fresh = list(network.hosts())
        random.shuffle(self._fresh)
        self._lock = threading.Lock()

    def take(self) -> str:
        with self._lock:
            address: IPv4Address = self._fresh.pop()
            self._fresh.insert(0, address)
        return str(address)
