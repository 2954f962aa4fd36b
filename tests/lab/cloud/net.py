"""The lab's network: a bridge, the public addresses on it, the metadata address, a packet filter for each host."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Iterable, Iterator

from tests.lab.cloud.addresses import METADATA, Ranges

METADATA_PORT = 8169
# Where packets to an address without a host go: EC2 answers nothing at all, a bridge would say "no route to host".
NOBODY = "02:00:00:00:00:01"


class CommandError(Exception):
    """A program of the system refused."""


def call(*argv: str, text: str = "", check: bool = True) -> str:
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise CommandError(f"{' '.join(argv)}: {done.stderr.strip()[:500]}")
    return done.stdout


def within(pid: int, *argv: str, text: str = "", check: bool = True) -> str:
    """Run a program of this machine in the network namespace of `pid`."""
    return call("nsenter", "-t", str(pid), "-n", *argv, text=text, check=check)


@dataclasses.dataclass(frozen=True)
class Rule:
    """What a security group lets in."""

    protocol: str  # tcp, udp, icmp, or -1 for all
    first: int | None
    last: int | None
    source: str

    def words(self) -> str:
        match = [] if self.protocol in ("-1", "all") else ["-p", self.protocol]
        if self.protocol in ("tcp", "udp") and self.first is not None and (self.first, self.last) != (0, 65535):
            match += ["--dport", f"{self.first}:{self.last}"]
        return " ".join(["-A INPUT", *match, "-s", self.source, "-j ACCEPT"])


class Net:
    """What the lab changes in the network of this machine. `open` and `close` may be called in any order."""

    def __init__(self, ranges: Ranges) -> None:
        self._ranges = ranges

    def open(self) -> None:
        ranges = self._ranges
        bridge = ("-o", f"com.docker.network.bridge.name={ranges.bridge}")
        subnet = ("--subnet", str(ranges.private), "--gateway", ranges.gateway, "--label", ranges.label)
        call("docker", "network", "create", *subnet, *bridge, ranges.bridge)
        call("ip", "route", "replace", str(ranges.public), "dev", ranges.bridge, "src", ranges.gateway)
        # When the bridge goes, so does its route: packets to a dead host must not leave this machine then.
        call("ip", "route", "replace", "blackhole", str(ranges.public), "metric", "1000")
        for table, chain, rule in self._rules():
            call("iptables", "-w", "-t", table, "-I", chain, *rule)

    def close(self) -> None:
        ranges = self._ranges
        for table in ("nat", "filter"):
            for line in call("iptables", "-w", "-t", table, "-S").splitlines():
                # The engine takes its own rules away with the network; these carry our mark.
                chain, _, rule = line.removeprefix("-A ").partition(" ")
                if f"--comment {ranges.bridge} " in rule:
                    call("iptables", "-w", "-t", table, "-D", chain, *rule.split(), check=False)
        call("ip", "route", "del", str(ranges.public), "dev", ranges.bridge, check=False)
        call("ip", "route", "del", "blackhole", str(ranges.public), check=False)
        # Last: while it is there, a sweep knows that something is left.
        call("docker", "network", "rm", ranges.bridge, check=False)

    def _rules(self) -> Iterator[tuple[str, str, list[str]]]:
        ranges = self._ranges
        mark = ["-m", "comment", "--comment", ranges.bridge]
        redirect = ["-p", "tcp", "--dport", "80", "-j", "DNAT", "--to-destination", f"{ranges.gateway}:{METADATA_PORT}"]
        yield "nat", "PREROUTING", ["-i", ranges.bridge, "-d", f"{METADATA}/32", *mark, *redirect]
        # This machine may be an instance itself: what it would learn from link-local is not for our hosts.
        yield "filter", "DOCKER-USER", ["-i", ranges.bridge, "-d", "169.254.0.0/16", *mark, "-j", "REJECT"]

    def appear(self, pid: int, mac: str, private: str, public: str | None) -> None:
        """The host of process `pid` is there now, under both addresses."""
        if public:
            within(pid, "ip", "addr", "replace", f"{public}/32", "dev", "eth0")
        self._lead([address for address in (private, public) if address], mac)

    def vanish(self, addresses: Iterable[str], pid: int | None = None) -> None:
        """Nothing answers at these addresses from now on, not even "no route"."""
        addresses = list(addresses)
        if pid:
            for address in addresses:
                within(pid, "ip", "addr", "del", f"{address}/32", "dev", "eth0", check=False)
        self._lead(addresses, NOBODY)

    def lead(self, address: str, mac: str) -> None:
        """Whoever has `mac` gets what is sent to `address`."""
        self._lead([address], mac)

    def _lead(self, addresses: Iterable[str], mac: str) -> None:
        for address in addresses:
            place = ("dev", self._ranges.bridge, "nud", "permanent")
            call("ip", "neigh", "replace", address, "lladdr", mac, *place, check=False)


def firewall(pid: int, rules: Iterable[Rule]) -> None:
    """What the security groups of a host let in; the rest is dropped, as EC2 drops it. Open connections stay open."""
    lines = [
        "*filter",
        ":INPUT DROP [0:0]",
        ":FORWARD ACCEPT [0:0]",
        ":OUTPUT ACCEPT [0:0]",
        "-A INPUT -i lo -j ACCEPT",
    ]
    lines += ["-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"]
    lines += [rule.words() for rule in rules]
    within(pid, "iptables-restore", "-w", text="\n".join([*lines, "COMMIT", ""]))


def disturb(pid: int, what: str) -> None:
    """`cut`: packets vanish both ways; `reset`: connections are refused; `metadata`: no metadata service; `heal`.

    The rules are in a table of their own, so that a change of a security group does not undo them.
    """
    within(pid, "iptables", "-w", "-t", "mangle", "-F")
    within(pid, "iptables", "-w", "-t", "raw", "-F")
    _refuse(pid, on=False)
    if what == "cut":
        within(pid, "iptables", "-w", "-t", "mangle", "-I", "INPUT", "!", "-i", "lo", "-j", "DROP")
        within(pid, "iptables", "-w", "-t", "mangle", "-I", "OUTPUT", "!", "-o", "lo", "-j", "DROP")
    elif what == "reset":
        _refuse(pid, on=True)
    elif what == "metadata":
        within(pid, "iptables", "-w", "-t", "mangle", "-I", "OUTPUT", "-d", f"{METADATA}/32", "-j", "DROP")
    elif what != "heal":
        raise ValueError(f"{what}: cut, reset, metadata or heal")


def _refuse(pid: int, *, on: bool) -> None:
    rule = ("INPUT", "!", "-i", "lo", "-p", "tcp", "-j", "REJECT", "--reject-with", "tcp-reset")
    within(pid, "iptables", "-w", "-I" if on else "-D", *rule, check=on)
