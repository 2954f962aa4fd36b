"""`dsenv ps`."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from dsenv.cli.options import Json, On


def ps(
    on: On = "default",
    everything: Annotated[bool, typer.Option("--all", "-a", help="Also runs that have ended.")] = False,
    json: Json = False,
) -> None:
    """List what runs on a workstation.

    Example: dsenv ps --all
    """
    from dsenv.cli import output
    from dsenv.workflows import ps as workflow
    from dsenv.workflows.target import open_target

    result = workflow.ps(open_target(on), everything=everything)
    if json:
        output.write_json(result)
        return
    rows = [(job.id, _state(job), _ago(job.created), job.task or "", " ".join(job.command)) for job in result.runs]
    if rows:
        output.write(output.table(("RUN", "STATE", "STARTED", "TASK", "COMMAND"), rows))


def _state(job: Any) -> str:
    if job.status != "done":
        return str(job.status)
    return f"exit {job.exit}" if job.exit is not None else f"signal {job.signal}"


def _ago(microseconds: int) -> str:
    seconds = int(max(0.0, time.time() - microseconds / 1e6))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"
