"""`dsenv attach`."""

from __future__ import annotations

from typing import Annotated

import typer

from dsenv.cli.options import Json, On, ProgressOption


def attach(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Run id, a unique part of one, or `last`.")] = "last",
    on: On = "default",
    json: Json = False,
    progress: ProgressOption = "auto",
) -> None:
    """Come back to a run as if it had never been left: its output from the start, its exit code, its outputs.

    Example: dsenv attach last
    """
    from dsenv.cli import diagnostics, output, terminal
    from dsenv.events import Cancel
    from dsenv.workflows import attach as workflow
    from dsenv.workflows.target import open_target

    raw = not json and terminal.pty() is not None
    console = terminal.TerminalConsole(raw=raw, stdin=True, stdout_to_stderr=json)
    with diagnostics.listener(diagnostics.mode(progress)) as emit, console.active():
        result = workflow.attach(open_target(on), run, console, emit=emit, cancel=Cancel())
    if json:
        output.write_json(result)
    elif console.detached:
        console.say_detached(result.id)
    raise typer.Exit(141 if console.reader_gone else result.code)
