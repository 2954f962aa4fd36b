"""What a run was held to and told by its machine, and how each of it is had again: limits, processors, numbers, time.

Pure: the facts of the record and those of this machine in, decisions and their words out. A record is somebody
else's, so nothing of it is taken for a number or a text before it was looked at.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from dsenv.workflows.reproduce import numbers
from dsenv.workflows.reproduce.model import Conditions, Item, Means
from dsenv.workflows.reproduce.numbers import facts_at, number, text_at

_MATCHING = "reproduce on a workstation that matches"
# A reproduction leaves no core files, and the address space of a process depends on the machine's libraries.
_LEFT_ALONE = frozenset({"core"})
_ULIMIT_WORDS = {
    "as": "address space",
    "cpu": "CPU seconds",
    "data": "reserved memory",
    "fsize": "file size",
    "memlock": "locked memory",
    "nofile": "open files",
    "nproc": "processes of the user",
    "rss": "memory in use",
    "stack": "stack",
}


@dataclasses.dataclass
class Account:
    """What is decided so far, and what is said about it."""

    conditions: Conditions
    restored: list[Item] = dataclasses.field(default_factory=list)
    lost: list[Item] = dataclasses.field(default_factory=list)

    def decide(self, **changes: Any) -> None:
        self.conditions = dataclasses.replace(self.conditions, **changes)

    def say(self, done: bool, what: str, name: str, note: str) -> None:
        (self.restored if done else self.lost).append(Item(what, name, note))


def conditions(record: Mapping[str, Any], here: Mapping[str, Any], means: Means, clock: bool) -> Account:
    """The conditions of a run. `here` are this machine's facts, `clock` whether its clock is asked for."""
    there = facts_at(record, "fingerprint")
    account = Account(Conditions())
    _ulimits(account, facts_at(there, "limits", "ulimit"), facts_at(here, "limits", "ulimit"))
    _memory(account, record, facts_at(there, "limits"), facts_at(here, "limits"), means)
    _quota(account, facts_at(there, "limits"), facts_at(here, "limits"), means)
    _processors(account, facts_at(there, "cpu"), facts_at(here, "cpu"), means)
    numbers.restore(account, there, here)
    _zone(account, facts_at(there, "locale"), facts_at(here, "locale"))
    _locale(account, facts_at(there, "locale"), facts_at(here, "locale"))
    _umask(account, record)
    started = number(record, "started")
    if clock and started:
        account.decide(clock=int(started))
        account.say(True, "clock", "", "Python's clock begins when the recorded run began")
        note = "compiled code, other programs and the times of files have today's"
        account.say(False, "clock", "outside Python", note)
    return account


def _ulimits(account: Account, there: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    wanted: dict[str, tuple[int, int]] = {}
    for name in sorted(_ULIMIT_WORDS.keys() & there.keys() & here.keys()):
        was, now = _pair(there[name]), _pair(here[name])
        if was is None or now is None or was == now or name in _LEFT_ALONE:
            continue
        label = f"ulimit {name}"
        soft, highest = was[0], now[1]
        possible = highest == -1 or (soft != -1 and soft <= highest)
        reached = soft if possible else highest
        if reached != now[0] or (was[1] != -1 and (highest == -1 or was[1] < highest)):
            wanted[name] = (reached, was[1])
        shown = f"{_ULIMIT_WORDS[name]}: {_limit(soft)}"
        if possible:
            if soft != now[0]:
                account.say(True, "limits", label, f"{shown}, as recorded")
        elif now[0] != soft:
            note = f"{shown} there, at most {_limit(highest)} here; raise the hard limit, or {_MATCHING}"
            account.say(False, "limits", label, note)
    account.decide(ulimits=wanted)


def _pair(value: Any) -> tuple[int, int] | None:
    """A soft and a hard limit, -1 for none."""
    if not isinstance(value, list) or len(value) != 2 or not all(type(part) is int for part in value):
        return None
    soft, hard = (part if 0 <= part < 1 << 60 else -1 for part in value)
    return soft, hard


def _limit(value: int) -> str:
    return "unlimited" if value == -1 else str(value)


def _memory(
    account: Account, record: Mapping[str, Any], there: Mapping[str, Any], here: Mapping[str, Any], means: Means
) -> None:
    limit, name = number(there, "memory_limit"), "control group"
    if limit is None and text_at(record, "signature", "cause") == "out-of-memory":
        limit, name = number(there, "memory"), "machine"
    if not limit or limit < 1 << 20:
        return
    available = min(number(here, "memory_limit") or limit, number(here, "memory") or limit)
    kill: Literal["process", "group"] = "group" if there.get("memory_kill") == "group" else "process"
    killed = "all its processes are killed at once" if kill == "group" else "one process is killed"
    size = f"at most {_megabytes(limit)}, then {killed}"
    if available < limit:
        note = f"{_megabytes(limit)} there, {_megabytes(available)} here; {_MATCHING}"
        account.say(False, "limits", "memory", note)
        return
    if available == limit and limit == number(here, "memory_limit"):
        account.say(True, "limits", "memory", f"{size}: this machine's own limit")
        return
    if not means.memory:
        note = f"{_megabytes(limit)} in its {name}; this system lets nobody impose or watch that: use Linux"
        account.say(False, "limits", "memory", note)
        return
    account.decide(memory=int(limit), memory_kill=kill, memory_by=means.memory)
    if means.memory == "cgroup":
        account.say(True, "limits", "memory", f"{size}, by a control group")
    else:
        account.say(
            True, "limits", "memory", f"{size}; imitated by looking every 5 ms, as no control group may be made"
        )


def _megabytes(size: float) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e10 else f"{size / 1e6:.0f} MB"


def _quota(account: Account, there: Mapping[str, Any], here: Mapping[str, Any], means: Means) -> None:
    quota = number(there, "cpu_limit")
    if not quota or quota == number(here, "cpu_limit"):
        return
    done = means.quota
    account.say(done, "limits", "CPU quota", f"{quota:g} CPUs" + (", by a control group" if done else _NO_GROUP))
    if done:
        account.decide(quota=float(quota))


_NO_GROUP = " there; no control group may be made here: only its speed differs"


def _processors(account: Account, there: Mapping[str, Any], here: Mapping[str, Any], means: Means) -> None:
    """Fewer are had by leaving some out; more can only be told to Python."""
    count, usable = (_small(number(there, name)) for name in ("count", "usable"))
    if count and count != number(here, "count"):
        account.decide(cpu_count=count)
        account.say(True, "cpu", "count", f"os.cpu_count() says {count}, in Python")
    ours = _small(number(here, "usable"))
    if not usable or not ours or usable == ours:
        return
    if usable < ours and means.affinity:
        account.decide(affinity=usable)
        account.say(True, "cpu", "usable", f"runs on {usable} of {ours} processors")
    else:
        account.decide(usable=usable)
        account.say(True, "cpu", "usable", f"os.sched_getaffinity() names {usable} processors, in Python")
        account.say(False, "cpu", "processors", f"{usable} there, {ours} here: compiled code counts those; {_MATCHING}")


def _small(value: float | None) -> int:
    return int(value) if value and 0 < value <= 1 << 16 else 0


def _zone(account: Account, there: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    """`here` is for a process with the recorded variables, so what still differs is this machine's doing."""
    zone, rules = text_at(there, "zone"), text_at(there, "rules")
    if rules and rules == text_at(here, "rules") and (not zone or zone == text_at(here, "zone")):
        return
    if "TZ" in there and not rules:
        return  # its text is the rule itself, or nobody knew its zone there either
    offset = number(there, "offset")
    if rules:
        # The zone's file of this machine knows the past, too, but only if it is the same zone still.
        same = _file_rules(zone) == rules
        account.decide(variables={**account.conditions.variables, "TZ": zone if same and zone else rules})
        how = "as recorded" if same and zone else f"its rules, {rules}: its file is not on this machine"
        account.say(True, "timezone", zone or rules, how)
    elif offset is not None and offset != number(here, "offset") and abs(offset) <= 86400:
        sign, minutes = "-" if offset > 0 else "+", abs(int(offset)) // 60
        fixed = (
            f"<{'+' if offset >= 0 else '-'}{minutes // 60:02}{minutes % 60:02}>{sign}{minutes // 60}:{minutes % 60:02}"
        )
        account.decide(variables={**account.conditions.variables, "TZ": fixed})
        account.say(True, "timezone", text_at(there, "timezone"), f"{offset / 3600:+g} h from UTC, as when it started")


def _file_rules(zone: str) -> str:
    from dsenv.agent import fingerprint

    return fingerprint.zone_facts(zone).get("rules", "") if zone else ""


def _locale(account: Account, there: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    absent, lacking = (_names(facts.get("missing")) for facts in (there, here))
    for name in sorted(lacking - absent):
        note = f"not installed here, C's rules count instead: apt-get install locales, then locale-gen {name}"
        account.say(False, "locale", name, note)
    for name in sorted(absent - lacking):
        account.say(False, "locale", name, "was not installed there, where C's rules counted; it is here")


def _names(value: Any) -> set[str]:
    return {item for item in value if isinstance(item, str)} if isinstance(value, list) else set()


def _umask(account: Account, record: Mapping[str, Any]) -> None:
    if number(record, "umask") is not None:
        account.say(True, "umask", f"{int(record['umask']) & 0o777:03o}", "as recorded")
