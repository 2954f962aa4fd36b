"""dsenv agent"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dsenv.cli.options import DryRun, Json, Yes


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

    @group.callback()
    def agent() -> None:
        """The file that records runs in production, with nothing installed there.

        Example: dsenv agent export dsenv.pyz
        """

    group.command("export")(export)
    app.add_typer(group, name="agent")


def export(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The file to write.")],
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Write the production file: one file, standard library only, for Python 3.9 and newer.

    Run it with `python3 -I -S PATH capture -- CMD...`. A file that is something else is replaced only with --yes.

    Example: dsenv agent export /usr/local/lib/dsenv.pyz
    """
    from dsenv.cli import output
    from dsenv.workflows import agent as workflow

    result = workflow.export(path, replace=yes, dry_run=dry_run)
    if as_json:
        output.write_json(result)
    else:
        done = "would write" if dry_run else "wrote" if result.changed else "unchanged:"
        output.write(
            f"{done} {result.path} ({result.size:,} bytes)\nuse: python3 -I -S {result.path} capture -- CMD..."
        )
