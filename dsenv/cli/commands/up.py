"""`dsenv up`."""

from __future__ import annotations

from typing import Annotated

import typer

from dsenv.cli.options import DryRun, Json, ProgressOption, Workstation


def up(
    name: Workstation = "default",
    provider: Annotated[
        str | None, typer.Option("--provider", metavar="P", help="local, docker, aws or ssh; default: dsenv.toml's.")
    ] = None,
    size: Annotated[
        str | None, typer.Option("--size", metavar="S", help="At least this: cpu=8,mem=32,gpu=1 (mem in GB).")
    ] = None,
    instance_type: Annotated[
        str | None, typer.Option("--instance-type", metavar="TYPE", help="Of the cloud, as m7i.2xlarge.")
    ] = None,
    like: Annotated[
        str | None, typer.Option("--like", metavar="run:ID", help="Like the machine of a recorded run.")
    ] = None,
    dry_run: DryRun = False,
    json: Json = False,
    progress: ProgressOption = "auto",
) -> None:
    """Make a workstation, or wake or repair the one that is there, with the locked environment on it.

    Safe to repeat. What is said here holds until `dsenv down`.

    Example: dsenv up big --provider aws --size cpu=8,mem=32
    """
    from dsenv.cli import diagnostics, output
    from dsenv.events import Cancel
    from dsenv.wording import duration
    from dsenv.workflows import up as workflow
    from dsenv.workflows.chosen import Chosen
    from dsenv.workflows.target import open_target

    target = open_target(name, wanted=Chosen(provider, size, instance_type, like))
    if dry_run:
        result = workflow.plan(target)
    else:
        with diagnostics.listener(diagnostics.mode(progress)) as emit:
            result = workflow.up(target, emit=emit, cancel=Cancel())
    if json:
        output.write_json(result)
    elif dry_run:
        doing = {"missing": f"would be created on {result.provider}", "running": "is running already"}
        output.write(f"{result.name} {doing.get(result.was, f'is {result.was} and would be started')}")
    else:
        output.write(f"{result.name} is running; ssh {result.alias} (ready after {duration(result.seconds)})")
