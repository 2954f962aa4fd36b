"""`dsenv ssh`."""

from __future__ import annotations

import typer

from dsenv.cli.dashes import DashCommand, behind
from dsenv.cli.options import Json, ProgressOption, Workstation


def register(app: typer.Typer) -> None:
    """Add the command, which keeps its hands off what stands behind `--`."""
    app.command("ssh", cls=DashCommand)(ssh)


def ssh(
    context: typer.Context, name: Workstation = "default", json: Json = False, progress: ProgressOption = "auto"
) -> None:
    """Open a shell on a workstation, or run a command there without syncing: dsenv ssh NAME -- CMD.

    With --json, which is for commands, what the command writes to stdout goes to stderr.

    Example: dsenv ssh
    """
    from dsenv.cli import diagnostics, output, terminal
    from dsenv.errors import UsageError
    from dsenv.events import Cancel
    from dsenv.workflows import ssh as workflow
    from dsenv.workflows.target import open_target

    words = behind(context) or []
    if json and not words:
        raise UsageError("--json is for a command, not for a shell", hint="dsenv ssh --json -- hostname")
    pty = None if json else terminal.pty()
    console = terminal.TerminalConsole(raw=pty is not None, stdin=True, detachable=False, stdout_to_stderr=json)
    with diagnostics.listener(diagnostics.mode(progress)) as emit, console.active():
        outcome = workflow.ssh(open_target(name), words, console, pty=pty, emit=emit, cancel=Cancel())
    if json:
        ended = {"status": outcome.status, "exit": outcome.exit, "signal": outcome.signal}
        output.write_json({"workstation": name, "command": words} | ended)
    raise typer.Exit(141 if console.reader_gone else outcome.code)
