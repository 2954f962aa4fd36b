"""dsenv capture"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from dsenv.cli.options import Store

CONTEXT = {"allow_interspersed_args": False}


class Kind(StrEnum):
    """What a run is for."""

    production = "production"
    development = "development"


def capture(
    command: Annotated[list[str], typer.Argument(metavar="-- CMD...", help="The command, as it would be typed.")],
    store: Store = None,
    run_id: Annotated[str | None, typer.Option("--run-id", metavar="ID", help="The id; default: a new one.")] = None,
    kind: Annotated[Kind, typer.Option("--kind", help="What the run is for.")] = Kind.production,
    project: Annotated[
        str | None, typer.Option("--project", metavar="NAME", help="Name of the project; default: dsenv.toml's.")
    ] = None,
    task: Annotated[
        str | None, typer.Option("--task", metavar="NAME", help="Name of the task, for comparisons.")
    ] = None,
    root: Annotated[
        str | None, typer.Option("--root", metavar="DIR", help="Folder of the code; default: the project's.")
    ] = None,
    lock: Annotated[
        str | None, typer.Option("--lock", metavar="FILE", help="The lock; default: pylock.toml in the root.")
    ] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", metavar="PATH", help="A file that the command reads, kept in any case. Repeatable."),
    ] = None,
    record_entropy: Annotated[
        bool,
        typer.Option("--record-entropy", help="Also keep what uuid4, secrets and os.urandom give. These may be keys."),
    ] = False,
    timeout: Annotated[
        str | None,
        typer.Option("--timeout", metavar="TIME", help="End it after 90, 90s, 15m, 2h or 1d; stacks are kept first."),
    ] = None,
    kill_after: Annotated[
        str | None,
        typer.Option("--kill-after", metavar="TIME", help="From SIGTERM to SIGKILL at the time-out; default: 10s."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document on stdout; the command's stdout goes to stderr.")
    ] = False,
) -> None:
    """Run a command as it is, and leave a record of the run in the store, whatever happens to it.

    Streams, signals and the exit code are the command's own. 127: there is no such command; 126: it is not
    executable; 125: these arguments make no sense. At its time-out the command gets SIGTERM and the exit code is 124;
    137 when it had to be killed.

    Example: dsenv capture --store s3://acme-runs/churn -- python train.py --rows 1000
    """
    from dsenv.agent.capture import command as agent

    values = {"store": store, "run-id": run_id, "kind": kind.value, "project": project, "task": task}
    values |= {"root": root, "lock": lock, "timeout": timeout, "kill-after": kill_after}
    words = [word for name, value in values.items() if value for word in (f"--{name}", value)]
    words += [word for path in inputs or [] for word in ("--input", path)]
    words += ["--record-entropy"] if record_entropy else []
    words += ["--json"] if as_json else []
    raise typer.Exit(agent.main([*words, "--", *command]))
