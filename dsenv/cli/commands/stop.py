"""`dsenv stop`."""

from __future__ import annotations

from dsenv.cli.options import DryRun, Json, ProgressOption, Workstation


def stop(
    name: Workstation = "default", dry_run: DryRun = False, json: Json = False, progress: ProgressOption = "auto"
) -> None:
    """Switch a workstation off and keep its files. What runs on it is ended.

    Example: dsenv stop
    """
    from dsenv.cli import diagnostics, output
    from dsenv.events import Cancel
    from dsenv.workflows import stop as workflow
    from dsenv.workflows.target import open_target

    with diagnostics.listener(diagnostics.mode(progress)) as emit:
        result = workflow.stop(open_target(name), dry_run=dry_run, emit=emit, cancel=Cancel())
    if json:
        output.write_json(result)
        return
    ended = f"; runs ended: {', '.join(result.ended_runs)}" if result.ended_runs else ""
    output.write(f"{name} {'would be stopped' if dry_run else f'is {result.state}'}{ended}")
