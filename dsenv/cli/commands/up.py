"""`dsenv up`."""

from __future__ import annotations

from dsenv.cli.options import DryRun, Json, ProgressOption, Workstation


def up(
    name: Workstation = "default", dry_run: DryRun = False, json: Json = False, progress: ProgressOption = "auto"
) -> None:
    """Make a workstation, or wake or repair the one that is there, with the locked environment on it.

    Safe to repeat.

    Example: dsenv up
    """
    from dsenv.cli import diagnostics, output
    from dsenv.events import Cancel
    from dsenv.workflows import up as workflow
    from dsenv.workflows.target import open_target

    target = open_target(name)
    if dry_run:
        result = workflow.plan(target)
    else:
        with diagnostics.listener(diagnostics.mode(progress)) as emit:
            result = workflow.up(target, emit=emit, cancel=Cancel())
    if json:
        output.write_json(result)
    elif dry_run:
        doing = {"missing": "would be created", "running": "is running already"}
        output.write(f"{result.name} {doing.get(result.was, f'is {result.was} and would be started')}")
    else:
        output.write(f"{result.name} is running; ssh {result.alias}")
