"""Options and arguments that several commands share, with one wording each."""

from __future__ import annotations

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
ProgressOption = Annotated[
    str,
    typer.Option(
        "--progress",
        metavar="MODE",
        help="How progress is shown on stderr: auto, plain, json or none.",
        show_default=False,
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.")]
Store = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="STORE",
        help="Folder or s3://bucket/prefix; default: the project's, else the user's data folder.",
    ),
]
On = Annotated[str, typer.Option("--on", metavar="NAME", help="The workstation.")]
RunId = Annotated[str, typer.Argument(metavar="RUN", help="Run id, a unique part of one, or `last`.")]
Workstation = Annotated[str, typer.Argument(metavar="NAME", help="The workstation.")]
