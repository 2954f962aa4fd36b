"""dsenv run"""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from dsenv.cli.options import DryRun, Json, On, ProgressOption

CONTEXT = {"allow_interspersed_args": False, "ignore_unknown_options": False}


class RunCommand(TyperCommand):
    """Remembers whether `--` was typed: it tells a command from a task."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ctx.meta["dsenv.dashes"] = "--" in args
        return super().parse_args(ctx, args)


def register(app: typer.Typer) -> None:
    """Add the command, with its own way to read arguments."""
    app.command("run", cls=RunCommand, context_settings=CONTEXT)(run)


def run(
    context: typer.Context,
    words: Annotated[list[str], typer.Argument(metavar="TASK | -- CMD...", help="A task's name, or -- and a command.")],
    on: On = "default",
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Start it, print its id, and leave it running.")
    ] = False,
    env: Annotated[
        list[str] | None, typer.Option("--env", metavar="NAME[=VALUE]", help="Send this variable too; repeatable.")
    ] = None,
    param: Annotated[
        list[str] | None, typer.Option("--param", "-p", metavar="NAME=VALUE", help="A task's parameter; repeatable.")
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="How many tasks may run at the same time.")] = 2,
    dry_run: DryRun = False,
    as_json: Json = False,
    progress: ProgressOption = "auto",
) -> None:
    """Bring the code to the workstation and run there as if it were here: output, exit code, ^C, outputs back.

    A task's words are split as a shell would, then {parameters} are replaced.

    Example: dsenv run -- python train.py --rows 1000
    """
    from dsenv.cli import diagnostics, output, terminal
    from dsenv.events import Cancel
    from dsenv.workflows import run as workflow
    from dsenv.workflows.target import open_target

    target = open_target(on)
    values, secrets = workflow.variables(target, env or [])
    pty = None if as_json or detach else terminal.pty()
    console = terminal.TerminalConsole(raw=pty is not None, stdin=not detach, stdout_to_stderr=as_json)
    command = workflow.Command(
        argv=words, env=values, secrets=secrets, detach=detach, pty=pty, stdin=sys.stdin is not None
    )
    with diagnostics.listener(progress) as emit, console.active():
        result = workflow.run(target, command, console, emit=emit, cancel=Cancel())
    if as_json:
        output.write_json(result)
    elif detach:
        output.write(result.id)
    elif result.status == "running":
        console.say_detached(result.id)
    raise typer.Exit(result.code)
