"""dsenv up"""

from __future__ import annotations

from dsenv.cli.options import DryRun, Json, ProgressOption, Workstation


def up(
    name: Workstation = "default", dry_run: DryRun = False, as_json: Json = False, progress: ProgressOption = "auto"
) -> None:
    """Make a workstation, or wake or repair the one that is there, with the locked environment on it.

    Safe to repeat.

    Example: dsenv up
    """
    from dsenv.cli import diagnostics, output
    from dsenv.events import Cancel
    from dsenv.workflows.target import open_target
    from dsenv.workflows.up import plan
    from dsenv.workflows.up import up as work

    target = open_target(name)
    if dry_run:
        result = plan(target)
    else:
        with diagnostics.listener(progress) as emit:
            result = work(target, emit=emit, cancel=Cancel())
    if as_json:
        output.write_json(result)
    elif dry_run:
        doing = {"missing": "would be created", "running": "is running already"}
        output.write(f"{result.name} {doing.get(result.was, f'is {result.was} and would be started')}")
    else:
        output.write(f"{result.name} is running: ssh {result.alias}")
