"""`dsenv logs`."""

from __future__ import annotations

from typing import Annotated

import typer

from dsenv.cli.options import Json, On


def logs(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Run id, a unique part of one, or `last`.")] = "last",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run ends.")] = False,
    on: On = "default",
    json: Json = False,
) -> None:
    """Print what a run has written: its stdout to stdout, its stderr to stderr.

    With --json both are texts in the document, beside how the run stands.

    Example: dsenv logs -f last
    """
    from dsenv.cli import diagnostics, output, terminal
    from dsenv.events import Cancel
    from dsenv.workflows import logs as workflow
    from dsenv.workflows.target import open_target

    if json:
        kept = workflow.Kept()
        with diagnostics.listener("auto") as emit:
            job, outcome = workflow.logs(open_target(on), run, kept, follow=follow, emit=emit, cancel=Cancel())
        output.write_json(workflow.Logs.of(job, outcome, kept))
        return
    console = terminal.TerminalConsole(raw=False, stdin=False, signals=False)
    with diagnostics.listener("auto") as emit, console.active():
        workflow.logs(open_target(on), run, console, follow=follow, emit=emit, cancel=Cancel())
    if console.reader_gone:
        raise typer.Exit(141)
