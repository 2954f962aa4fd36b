"""`dsenv status`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from dsenv.cli.options import Json, Workstation

if TYPE_CHECKING:
    from dsenv.workflows.ls import Listed
    from dsenv.workflows.status import Status


def status(name: Workstation = "default", json: Json = False) -> None:
    """Show one workstation: its state, what it costs, what runs on it, what keeps it up and when it stops.

    Example: dsenv status
    """
    from dsenv.cli import diagnostics, output
    from dsenv.workflows import ls
    from dsenv.workflows import status as workflow
    from dsenv.workflows.target import open_target

    target = open_target(name)
    result = workflow.status(target)
    if json:
        output.write_json(result)
        return
    if result.workstation is None:
        output.write(f"{name}: not made yet; dsenv up")
        for item in ls.left_behind(target.identity.project):
            diagnostics.write(item.advice)
        return
    output.write("\n".join(_lines(name, result, result.workstation)))


def _lines(name: str, result: Status, item: Listed) -> Iterator[str]:
    yield f"{name}: {item.state} ({', '.join(filter(None, (item.provider, item.region, item.note)))})"
    yield f"  ssh          {item.alias}"
    yield f"  home         {result.home}"
    yield f"  environment  {result.environment or 'none for the present lock; dsenv up'}"
    if item.price_per_hour is not None and (item.price_per_hour or item.cost_so_far):
        yield f"  costs        {_costs(item)}"
    for job in result.running:
        yield f"  run          {job.id}  {' '.join(job.command)}"
    yield from _awake(result)


def _costs(item: Listed) -> str:
    from dsenv.wording import dollars

    so_far = f", {dollars(item.cost_so_far)} so far" if item.cost_so_far is not None else ""
    return f"{dollars(item.price_per_hour or 0.0)} an hour{so_far}"


def _awake(result: Status) -> Iterator[str]:
    from dsenv.wording import duration

    awake, limits = result.awake, result.machine_limits
    if awake is None:
        ends = []
        if limits and limits.idle_seconds:
            ends.append(f"after {duration(limits.idle_seconds)} without work")
        if limits and limits.max_seconds:
            ends.append(f"{duration(limits.max_seconds)} after its start")
        if ends:
            yield f"  stops        {', or '.join(ends)}; it begins to look within a minute"
        return
    if awake.kept_up_by:
        yield f"  kept up by   {'; '.join(awake.kept_up_by)}"
    else:
        yield f"  idle for     {duration(awake.idle_seconds)}"
    if awake.stops_in_seconds is not None:
        why = "when idle for so long" if awake.because == "idle" else "its life time is over then"
        yield f"  stops in     {duration(awake.stops_in_seconds)} ({why})"
