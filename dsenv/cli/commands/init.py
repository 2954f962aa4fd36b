"""`dsenv init`."""

from __future__ import annotations

from typing import Annotated

import typer

from dsenv.cli import options, output


def init(
    template: Annotated[
        str | None, typer.Option("--template", metavar="NAME", help="Start from this starter project.")
    ] = None,
    dry_run: options.DryRun = False,
    json: options.Json = False,
) -> None:
    """Make this folder a project.

    Writes dsenv.toml from the dependency file that is there, and asks nothing.

    Example: dsenv init --template starter
    """
    from pathlib import Path

    from dsenv.workflows.init import init as start

    result = start(Path.cwd(), template=template, dry_run=dry_run)
    if json:
        output.write_json(result)
        return
    verb = "wrote" if result.written else "would write"
    lines = [f"{verb} {name}" for name in result.files]
    lines += [f"note: {note}" for note in result.notes]
    lines.append(f"{result.name}: {result.source}, Python {result.python}, for {', '.join(result.platforms)}")
    lines.append("next: dsenv lock")
    output.write("\n".join(lines))
