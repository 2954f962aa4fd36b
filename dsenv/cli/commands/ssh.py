"""`dsenv ssh`."""

from __future__ import annotations

import typer

from dsenv.cli.dashes import DashCommand, behind
from dsenv.cli.options import ProgressOption, Workstation


def register(app: typer.Typer) -> None:
    """Add the command, which keeps its hands off what stands behind `--`."""
    app.command("ssh", cls=DashCommand)(ssh)


def ssh(context: typer.Context, name: Workstation = "default", progress: ProgressOption = "auto") -> None:
    """Open a shell on a workstation, or run a command there without syncing: dsenv ssh NAME -- CMD.

    Example: dsenv ssh
    """
    from dsenv.cli import diagnostics, terminal
    from dsenv.events import Cancel
    from dsenv.workflows import ssh as workflow
    from dsenv.workflows.target import open_target

    pty = terminal.pty()
    console = terminal.TerminalConsole(raw=pty is not None, stdin=True, detachable=False)
    with diagnostics.listener(diagnostics.mode(progress)) as emit, console.active():
        outcome = workflow.ssh(open_target(name), behind(context) or [], console, pty=pty, emit=emit, cancel=Cancel())
    raise typer.Exit(141 if console.reader_gone else outcome.code)
