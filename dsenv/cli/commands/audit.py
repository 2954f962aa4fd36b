"""`dsenv audit`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dsenv.cli.options import Json, ProgressOption, Yes

if TYPE_CHECKING:
    from dsenv.models.machine import Resource
    from dsenv.workflows.audit import Audit


def audit(
    provider: Annotated[
        str | None, typer.Option("--provider", metavar="P", help="Only this one; default: all that can be asked.")
    ] = None,
    region: Annotated[
        list[str] | None, typer.Option("--region", metavar="R", help="Look there too; may be repeated.")
    ] = None,
    fix: Annotated[bool, typer.Option("--fix", help="Remove what nothing needs.")] = False,
    yes: Yes = False,
    json: Json = False,
    progress: ProgressOption = "auto",
) -> None:
    """List what your accounts hold in dsenv's name, as they say themselves, with what it costs.

    Exit code 1 when something is there that nothing needs, 4 when an account could not be asked.

    Example: dsenv audit --fix
    """
    from dsenv.cli import diagnostics, output
    from dsenv.errors import ProviderError
    from dsenv.events import Cancel
    from dsenv.workflows import audit as workflow

    with diagnostics.listener(diagnostics.mode(progress)) as emit:
        result = workflow.audit(provider, region or (), emit=emit, cancel=Cancel())
        if fix and result.orphans:
            named = ", ".join(f"{item.kind} {item.id}" for item in result.orphans)
            if diagnostics.interactive(as_json=json, assume_yes=yes) and not diagnostics.confirm(f"remove {named}?"):
                raise typer.Exit(1)
            result = workflow.fix(result, emit=emit, cancel=Cancel())
    if json:
        output.write_json(
            {
                "resources": result.resources,
                "orphans": result.orphans,
                "removed": result.removed,
                "failed": result.failed,
                "unasked": result.unasked,
                "per_hour": result.per_hour,
            }
        )
    else:
        _show(result)
    if result.orphans or result.failed:
        raise typer.Exit(1)
    if result.unasked:  # half an answer is no "all is well"
        raise typer.Exit(diagnostics.exit_code(ProviderError("")))


def _show(result: Audit) -> None:
    from dsenv.cli import diagnostics, output
    from dsenv.wording import dollars

    rows = [_row(item) for item in result.resources if item not in result.removed]
    if rows:
        output.write(output.table(("KIND", "ID", "STATE", "WHERE", "WORKSTATION", "COST", "NOTE"), rows))
        output.write(f"{dollars(result.per_hour)} an hour in all")
    else:
        output.write("nothing is there")
    for item in result.removed:
        output.write(f"removed {item.kind} {item.id}: {item.orphan}")
    for name, why in result.failed.items():
        diagnostics.write(f"{name} is still there: {why}")
    for name, why in result.unasked.items():
        diagnostics.write(f"{name} could not be asked: {why}\n  next: dsenv doctor")
    if result.orphans and not result.failed:
        diagnostics.write("some of it is needed by nothing\n  next: dsenv audit --fix")


def _row(item: Resource) -> tuple[str, ...]:
    from dsenv.wording import dollars

    cost = "" if item.per_hour is None else f"{dollars(item.per_hour)}/h"
    where = "/".join(filter(None, (item.provider, item.region)))
    return (item.kind, item.id, item.state, where, f"{item.project}/{item.name}", cost, item.orphan or item.note)
