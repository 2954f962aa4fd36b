"""`dsenv runs`: what ran and what failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dsenv.cli import options, output

if TYPE_CHECKING:
    from dsenv.runs.index import RunSummary


def runs(
    failed: Annotated[bool, typer.Option("--failed", help="Only runs that failed or were lost.")] = False,
    project: Annotated[str | None, typer.Option("--project", metavar="NAME", help="Only runs of this project.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, metavar="N", help="At most this many.")] = 50,
    store: options.Store = None,
    json: options.Json = False,
) -> None:
    """List recorded runs, newest first.

    Example: dsenv runs --failed --store s3://acme-runs/churn
    """
    from dsenv import wording
    from dsenv.cli import diagnostics
    from dsenv.workflows.runs import runs as list_runs

    result = list_runs(store, failed=failed, project=project, limit=limit)
    if json:
        output.write_json(result)
        return
    if not result.runs:
        diagnostics.write(f"no {'failed ' if failed else ''}runs in {result.store}")
        return
    output.write(output.table(("RUN", "STATUS", "WHEN", "COMMAND", "WHY"), [_row(run) for run in result.runs]))
    if result.more:
        diagnostics.write(f"older runs are not shown; use --limit {limit * 2}")
    newest_failed = next((run for run in result.runs if run.failed), None)
    if newest_failed:
        diagnostics.write(f"reproduce one with: {wording.command('dsenv', 'reproduce', newest_failed.id)}")


def _row(run: RunSummary) -> tuple[str, ...]:
    from dsenv import wording

    command = wording.brief(run.command, 40)
    return (run.id, run.status, wording.ago(run.started), command, wording.shorten(wording.reason(run), 60))
