"""`dsenv pull`."""

from __future__ import annotations

from typing import Annotated

import typer

from dsenv.cli.options import Json, On, ProgressOption


def pull(
    patterns: Annotated[
        list[str] | None, typer.Argument(metavar="[PATTERN]...", help="In .gitignore syntax; default: [sync] pull.")
    ] = None,
    on: On = "default",
    run: Annotated[str | None, typer.Option("--run", metavar="RUN", help="The run whose files are meant.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Files of any size.")] = False,
    json: Json = False,
    progress: ProgressOption = "auto",
) -> None:
    """Bring outputs back from the workstation. `dsenv run` does this by itself.

    Example: dsenv pull models/
    """
    from dsenv.cli import diagnostics, output
    from dsenv.events import Cancel
    from dsenv.sync.pull import CAP
    from dsenv.workflows import pull as workflow
    from dsenv.workflows.target import open_target

    cap = workflow.UNLIMITED if everything else CAP
    with diagnostics.listener(diagnostics.mode(progress)) as emit:
        result = workflow.pull(open_target(on), patterns or [], job=run, emit=emit, cancel=Cancel(), cap=cap)
    output.write_json(result) if json else output.write("\n".join(result.files) or "nothing new")
