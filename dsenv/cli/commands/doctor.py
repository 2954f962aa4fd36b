"""`dsenv doctor`."""

from __future__ import annotations

from typing import Annotated

import typer

from dsenv.cli import options, output

_MARKS = {"ok": "ok  ", "note": "note", "fix": "FIX "}


def doctor(
    online: Annotated[bool, typer.Option("--online", help="Also ask the package index.")] = False,
    policy: Annotated[
        str | None,
        typer.Option("--policy", metavar="P", help="Print the permissions that a provider needs, and nothing else."),
    ] = None,
    json: options.Json = False,
    progress: options.ProgressOption = "auto",
) -> None:
    """Check this machine for what dsenv needs.

    Each finding comes with the command that fixes it. Exit code 1 when something has to be fixed.

    Example: dsenv doctor --policy aws > policy.json
    """
    from dsenv.cli import diagnostics
    from dsenv.events import Cancel
    from dsenv.workflows.doctor import doctor as examine
    from dsenv.workflows.doctor import policy as permissions

    if policy:
        output.write(permissions(policy).rstrip("\n"))
        return
    with diagnostics.listener(diagnostics.mode(progress)) as emit:
        diagnosis = examine(online=online, emit=emit, cancel=Cancel())
    if json:
        output.write_json({"healthy": diagnosis.healthy, "findings": diagnosis.findings})
    else:
        lines = []
        for finding in diagnosis.findings:
            lines.append(f"{_MARKS[finding.status]}  {finding.check:15} {finding.message}")
            if finding.fix:
                lines.append(f"      {'':15} -> {finding.fix}")
        output.write("\n".join(lines))
    if not diagnosis.healthy:
        raise typer.Exit(1)
