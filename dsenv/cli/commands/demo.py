"""`dsenv demo`: the whole loop on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from dsenv.cli import options, output


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Keep the folder and the workstation.")] = False,
    json: options.Json = False,
    progress: options.ProgressOption = "auto",
) -> None:
    """The whole loop on this machine: lock, up, run, a failed production run, reproduce, fix.

    Needs no account, no docker and no root. Takes about a minute the first time, because packages are downloaded.

    Example: dsenv demo --keep
    """
    from dsenv import wording
    from dsenv.cli import diagnostics
    from dsenv.events import Cancel
    from dsenv.workflows.demo import demo as play

    with diagnostics.listener(diagnostics.mode(progress)) as emit:
        result = play(keep=keep, emit=emit, cancel=Cancel())
    if json:
        output.write_json(result)
    else:
        lines = [
            f"trained      r2 {result.metric:.3f}, on the workstation",
            f"failed       {result.run}, in production",
            f"reproduced   {result.verdict}",
            f"because      {wording.printable(result.frame)}: {wording.printable(result.local)}",
            f"fixed        {result.fixed}",
            f"took         {result.seconds:.1f} s",
        ]
        if result.folder:
            lines.append(
                f"kept         {result.folder}; try: cd {result.folder}/wine && DSENV_STORE=../runs dsenv reproduce"
            )
        output.write("\n".join(lines))
    if not result.done:
        raise typer.Exit(diagnostics.ANSWER_NO)
