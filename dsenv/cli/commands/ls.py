"""`dsenv ls`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsenv.cli.options import Json

if TYPE_CHECKING:
    from dsenv.workflows.ls import Listed


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
    rows = [
        (item.name, item.state, item.provider, item.note, _price(item), item.alias, item.root)
        for item in listing.workstations
    ]
    if rows:
        output.write(output.table(("NAME", "STATE", "PROVIDER", "WHAT", "COST", "SSH", "PROJECT"), rows))
    for item in listing.workstations:
        if item.gone:
            diagnostics.write(item.advice)
    for provider, why in listing.unasked.items():
        diagnostics.write(f"{provider} could not be asked: {why}\n  next: dsenv doctor")


def _price(item: Listed) -> str:
    from dsenv.wording import dollars

    if item.price_per_hour is None:
        return ""
    so_far = f", {dollars(item.cost_so_far)} so far" if item.cost_so_far else ""
    return f"{dollars(item.price_per_hour)}/h{so_far}" if item.price_per_hour else "free"
