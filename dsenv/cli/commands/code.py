"""`dsenv code`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from dsenv.cli.options import Json, Workstation


class EditorName(StrEnum):
    """Editors that work over SSH."""

    VSCODE = "vscode"
    CURSOR = "cursor"
    WINDSURF = "windsurf"
    PYCHARM = "pycharm"


def code(
    name: Workstation = "default",
    editor: Annotated[EditorName | None, typer.Option("--editor", help="Default: the first that is installed.")] = None,
    show: Annotated[bool, typer.Option("--print", help="Print the link, and start nothing.")] = False,
    json: Json = False,
) -> None:
    """Open the workstation's files in your editor, or print the link that does.

    Example: dsenv code --editor pycharm
    """
    from dsenv.cli import output
    from dsenv.workflows import code as workflow
    from dsenv.workflows.target import open_target

    chosen = editor.value if editor else None
    result = workflow.code(open_target(name), chosen, start=not show)
    if json:
        output.write_json(result)
    elif result.opened:
        output.write(f"opened {result.folder} on {result.alias} in {result.editor}")
    else:
        output.write(result.link)
