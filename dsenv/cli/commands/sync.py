"""`dsenv sync`."""

from __future__ import annotations

from typing import Annotated

import typer

from dsenv.cli.options import Json, On, ProgressOption


def sync(
    on: On = "default",
    force: Annotated[bool, typer.Option("--force", help="Also while a run is using the files.")] = False,
    json: Json = False,
    progress: ProgressOption = "auto",
) -> None:
    """Make the code on the workstation equal to the code here. `dsenv run` does this by itself.

    Example: dsenv sync
    """
    from dsenv.cli import diagnostics, output
    from dsenv.events import Cancel
    from dsenv.workflows import sync as workflow
    from dsenv.workflows.target import open_target

    with diagnostics.listener(diagnostics.mode(progress)) as emit:
        result = workflow.sync(open_target(on), force=force, emit=emit, cancel=Cancel())
    output.write_json(result) if json else output.write(f"{workflow.summary(result)}: {result.root}")
