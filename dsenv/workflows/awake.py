"""What keeps a workstation up, and when it switches itself off, as the workstation itself says."""

from __future__ import annotations

import dataclasses
from typing import Any

from dsenv.errors import DsenvError
from dsenv.models.machine import Machine
from dsenv.sync.client import AgentClient, RefusedError
from dsenv.workflows.target import Target


@dataclasses.dataclass(frozen=True)
class Awake:
    """As of its last look, which is at most a minute old."""

    idle_seconds: float
    kept_up_by: list[str]
    stops_in_seconds: float | None  # if nothing is done from now on; None: never
    because: str | None  # "idle" or "life time": what comes first


def asked(client: AgentClient) -> Awake | None:
    """None where nothing watches: the machine is not for us to switch off."""
    state, now, _ = _report(client)
    if not state or now is None:
        return None
    kept = [str(reason[1]) for reason in state.get("kept_up_by") or []]
    idle = 0.0 if kept else max(0.0, now - float(state.get("busy", now)))
    ends = []
    if state.get("idle_seconds"):
        ends.append((float(state["idle_seconds"]) - idle, "idle"))
    if state.get("max_seconds"):
        ends.append((float(state["max_seconds"]) - now, "life time"))
    left, why = min(ends, default=(None, None))
    return Awake(idle, kept, None if left is None else max(0.0, left), why)


def stopped_because(target: Target, machine: Machine) -> str:
    """Why a workstation that was off had switched itself off; empty when it did not, or cannot be asked."""
    try:
        with target.provider.transport(machine) as transport, AgentClient(transport, machine) as client:
            _, _, stopped = _report(client)
    except DsenvError:
        return ""  # it is only said beside the rest
    return str((stopped or {}).get("why") or "")


def _report(client: AgentClient) -> tuple[dict[str, Any] | None, float | None, dict[str, Any] | None]:
    client.request("watch")
    try:
        answer = client.answer()
    except RefusedError:
        return None, None, None
    return answer.get("state"), answer.get("now"), answer.get("stopped")
