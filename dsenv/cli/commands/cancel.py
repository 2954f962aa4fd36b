"""`dsenv cancel`."""

from __future__ import annotations

from typing import Annotated

import typer

from dsenv.cli.options import Json, On


def cancel(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Run id, a unique part of one, or `last`.")],
    signal: Annotated[str, typer.Option("--signal", metavar="NAME", help="What to send first.")] = "TERM",
    grace: Annotated[float, typer.Option("--grace", metavar="SECONDS", min=0, help="Time before KILL.")] = 10.0,
    on: On = "default",
    json: Json = False,
) -> None:
    """End a run: a signal first, KILL when it still lives after the grace.

    Example: dsenv cancel last
    """
    from dsenv.cli import output
    from dsenv.workflows import cancel as workflow
    from dsenv.workflows.target import open_target

    result = workflow.cancel(open_target(on), run, signal=signal, grace=grace)
    if json:
        output.write_json(result)
    else:
        before = "was lost; nothing of it runs" if result.status == "lost" else "had ended before"
        output.write(f"{result.id} {'is ended' if result.was_running else before}")
