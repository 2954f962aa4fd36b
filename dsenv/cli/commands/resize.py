"""`dsenv resize`."""

from __future__ import annotations

from typing import Annotated

import typer

from dsenv.cli.options import DryRun, Json, ProgressOption, Workstation, Yes


def resize(
    name: Workstation = "default",
    size: Annotated[
        str | None, typer.Option("--size", metavar="S", help="At least this: cpu=8,mem=32,gpu=1 (mem in GB).")
    ] = None,
    instance_type: Annotated[
        str | None, typer.Option("--instance-type", metavar="TYPE", help="Of the cloud, as m7i.2xlarge.")
    ] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    json: Json = False,
    progress: ProgressOption = "auto",
) -> None:
    """Give a workstation other processors and memory. Its files stay; what runs on it may be ended.

    Without options it becomes what dsenv.toml says by now.

    Example: dsenv resize big --size cpu=16,mem=64
    """
    from dsenv.cli import diagnostics, output
    from dsenv.events import Cancel
    from dsenv.workflows import resize as workflow
    from dsenv.workflows.chosen import Chosen
    from dsenv.workflows.target import open_target

    target = open_target(name, wanted=Chosen(size=size, instance_type=instance_type))
    with diagnostics.listener(diagnostics.mode(progress)) as emit:
        if diagnostics.interactive(as_json=json, assume_yes=yes) and not dry_run:
            runs = workflow.resize(target, dry_run=True, emit=emit, cancel=Cancel()).ended_runs
            if runs and not diagnostics.confirm(f"end what runs on {name} ({', '.join(runs)})?"):
                raise typer.Exit(1)
        result = workflow.resize(target, dry_run=dry_run, emit=emit, cancel=Cancel())
    if json:
        output.write_json(result)
        return
    item = result.workstation
    ended = f"; runs ended: {', '.join(result.ended_runs)}" if result.ended_runs else ""
    output.write(f"{name} {'would be resized, it is' if dry_run else f'is {item.state},'} {item.note}{ended}")
