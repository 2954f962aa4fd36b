"""`dsenv ls`."""

from __future__ import annotations

from dsenv.cli.options import Json


def ls(json: Json = False) -> None:
    """List the workstations of all projects.

    Example: dsenv ls
    """
    from dsenv.cli import diagnostics, output
    from dsenv.workflows import ls as workflow

    listing = workflow.ls()
    if json:
        output.write_json(listing)
        return
    rows = [(item.name, item.state, item.provider, item.note, item.alias, item.root) for item in listing.workstations]
    if rows:
        output.write(output.table(("NAME", "STATE", "PROVIDER", "SERVER", "SSH", "PROJECT"), rows))
    for item in listing.workstations:
        if item.gone:
            diagnostics.write(item.advice)
