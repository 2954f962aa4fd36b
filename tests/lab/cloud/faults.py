"""What goes wrong, as tests order it: errors, lost answers, hanging connections, and clients that die in between.

A fault is a JSON object. Which calls it meets: `service`, `action` (a regular expression), `region`, `match` (patterns
by parameter; `zone` is where a RunInstances would land), `skip` and `times` (how many calls it lets pass and meets),
`probability`. What it does is one of:

  error: CODE [message, status]    an error in the service's protocol, the call is not carried out
  lost: true                       the call is carried out and its answer is not sent
  dropped: true                    the call is not carried out and nothing is answered
  hang: SECONDS                    as dropped, but the connection stays open for so long
  delay: SECONDS                   the call is carried out so much later
  eventual: SECONDS                instances that are made from now on cannot be found for so long
  kill: PID [at: N, when: before or after]    SIGKILL at the N-th call from now on
"""

from __future__ import annotations

import contextlib
import dataclasses
import fnmatch
import os
import random
import re
import signal
import threading
from typing import Any

from tests.lab.cloud.protocol import Request

KINDS = ("error", "lost", "dropped", "hang", "delay", "eventual", "kill")


@dataclasses.dataclass
class Fault:
    """One order."""

    kind: str
    value: Any
    service: str | None = None
    action: str = ".*"
    region: str | None = None
    match: dict[str, str] = dataclasses.field(default_factory=dict)
    skip: int = 0
    times: int | None = None
    probability: float = 1.0
    message: str = ""
    status: int | None = None
    at: int = 1
    when: str = "before"
    hits: int = 0

    @staticmethod
    def of(order: dict[str, Any]) -> Fault:
        """Raises ValueError for an order that cannot be carried out."""
        kinds = [kind for kind in KINDS if kind in order]
        if len(kinds) != 1:
            raise ValueError(f"a fault is one of {', '.join(KINDS)}, not {kinds}")
        rest = {name: value for name, value in order.items() if name != kinds[0]}
        unknown = set(rest) - {field.name for field in dataclasses.fields(Fault)}
        if unknown:
            raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
        fault = Fault(kinds[0], order[kinds[0]], **rest)
        if fault.kind == "kill":
            fault.skip, fault.times = fault.at - 1, 1
            if fault.when not in ("before", "after"):
                raise ValueError("when is before or after")
        re.compile(fault.action)
        return fault

    def meets(self, request: Request, zone: str) -> bool:
        """Whether it applies to this call; counts it if so."""
        if self.service not in (None, request.service) or self.region not in (None, request.region):
            return False
        if not re.fullmatch(self.action, request.action):
            return False
        values = {**request.params, "zone": zone}
        if any(not fnmatch.fnmatchcase(str(values.get(k, "")), str(v)) for k, v in self.match.items()):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.times == 0 or random.random() >= self.probability:
            return False
        if self.times is not None:
            self.times -= 1
        self.hits += 1
        return True

    def kill(self) -> None:
        # It may have ended by itself: then there is nobody left to be killed.
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(self.value), signal.SIGKILL)


class Faults:
    """All orders, in the order in which they came."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, order: dict[str, Any]) -> Fault:
        fault = Fault.of(order)
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()

    def facts(self) -> list[dict[str, Any]]:
        with self._lock:
            return [dataclasses.asdict(fault) for fault in self._faults]

    def met(self, request: Request, zone: str) -> list[Fault]:
        """Those that apply to this call."""
        with self._lock:
            return [f for f in self._faults if f.kind != "eventual" and f.meets(request, zone)]

    def hidden(self, region: str) -> float:
        """For how many seconds an instance that is made now cannot be found."""
        with self._lock:
            waits = [float(f.value) for f in self._faults if f.kind == "eventual" and f.region in (None, region)]
        return max(waits, default=0.0)
