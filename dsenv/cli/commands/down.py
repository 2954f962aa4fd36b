"""`dsenv down`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dsenv.cli.options import DryRun, Json, ProgressOption, Workstation, Yes


def down(
    name: Workstation = "default",
    project: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Of the project that was in this folder, as `dsenv ls` says.")
    ] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    json: Json = False,
    progress: ProgressOption = "auto",
) -> None:
    """Destroy a workstation with the files on it, and say what was destroyed.

    Example: dsenv down --dry-run
    """
    from dsenv.cli import diagnostics, output
    from dsenv.events import Cancel
    from dsenv.workflows import down as workflow
    from dsenv.workflows import ls
    from dsenv.workflows.target import open_of, open_target

    target = open_of(name, project) if project else open_target(name)
    plan = workflow.plan(target)
    if not dry_run:
        asking = plan.existed and diagnostics.interactive(as_json=json, assume_yes=yes)
        if asking and not diagnostics.confirm(f"destroy {_described(plan)}?"):
            raise typer.Exit(1)
        with diagnostics.listener(diagnostics.mode(progress)) as emit:
            plan = workflow.down(target, emit=emit, cancel=Cancel())
    if json:
        output.write_json(plan)
    elif not plan.existed:
        output.write(f"there is no workstation {name}")
        for item in ls.left_behind(target.identity.project):
            diagnostics.write(item.advice)
    else:
        output.write(f"{'would destroy' if dry_run else 'destroyed'} {_described(plan)}")


def _described(plan: Any) -> str:
    parts = [f"the workstation {plan.name}"]
    if plan.files is not None:
        parts.append(f"{plan.files} files ({plan.bytes / 1e6:.1f} MB) in {plan.home}")
    if plan.ended_runs:
        parts.append(f"running: {', '.join(plan.ended_runs)}")
    return ", ".join(parts)
