"""`dsenv forward`."""

from __future__ import annotations

from typing import Annotated

import typer

from dsenv.cli.options import Json, On, ProgressOption


def forward(
    ports: Annotated[list[str], typer.Argument(metavar="PORT[:REMOTE]...", help="Port here, and there if another.")],
    on: On = "default",
    json: Json = False,
    progress: ProgressOption = "auto",
) -> None:
    """Reach ports of the workstation from here, until ^C. A cut connection is made again; the ports stay.

    Example: dsenv forward 8888
    """
    from dsenv.cli import diagnostics, output, terminal
    from dsenv.events import Cancel
    from dsenv.workflows import forward as workflow
    from dsenv.workflows.target import open_target

    cancel = Cancel()
    pairs = workflow.parse(ports)

    def ready(opened: list[workflow.Forwarded]) -> None:
        if json:
            output.write_json({"forwarded": opened})
            return
        for item in opened:
            output.write(f"{item.url} is port {item.remote_port} of {on}; ^C ends it")

    with diagnostics.listener(diagnostics.mode(progress)) as emit, terminal.cancelled_by_signals(cancel):
        workflow.forward(open_target(on), pairs, ready, emit=emit, cancel=cancel)
