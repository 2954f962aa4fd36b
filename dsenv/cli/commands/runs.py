"""`dsenv runs`: what ran and what failed, and what of it is kept."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from dsenv.cli import options, output

if TYPE_CHECKING:
    from dsenv.runs.index import RunSummary
    from dsenv.workflows.prune import Pruned

_LIMIT = 50
_SCREEN, _PAGE = 100, 1000  # rows whose columns are as wide: what is seen at once is shown at once


def register(app: typer.Typer) -> None:
    """Add the command with its group."""
    group = typer.Typer(rich_markup_mode=None, invoke_without_command=True)
    group.callback()(runs)
    group.command("prune")(prune)
    app.add_typer(group, name="runs")


def runs(
    context: typer.Context,
    failed: Annotated[bool, typer.Option("--failed", help="Only runs that failed or were lost.")] = False,
    project: Annotated[str | None, typer.Option("--project", metavar="NAME", help="Only runs of this project.")] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="WHEN", help="Only runs started since: 30d, 12h, or a date.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="WHEN", help="Only runs started until: 30d, 12h, or a date.")
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", min=1, metavar="N", help="At most this many; default: 50, with --since all."),
    ] = None,
    store: options.Store = None,
    json: options.Json = False,
) -> None:
    """List recorded runs, newest first.

    Example: dsenv runs --failed --since 30d --store s3://acme-runs/churn
    """
    if context.invoked_subcommand:
        return
    import time

    from dsenv.runs.store import open_store
    from dsenv.workflows import runs as workflow
    from dsenv.workflows import when

    now = time.time()
    wanted = workflow.Wanted(
        failed=failed,
        project=project,
        since=when.parse(since, now) if since else 0,
        until=when.parse(until, now) if until else None,
        limit=limit if limit or since else _LIMIT,
    )
    opened = open_store(workflow.store_url(store))
    found = workflow.matching(opened, wanted)
    shown = found if wanted.limit is None else itertools.islice(found, wanted.limit)
    if json:
        output.write_json_list({"store": opened.url}, "runs", shown, lambda: {"more": next(found, None) is not None})
    else:
        _write(shown, found, wanted, opened.url)


def _write(shown: Iterator[RunSummary], found: Iterator[RunSummary], wanted: object, store: str) -> None:
    """Tables of a page each, and what to type next."""
    from dsenv import wording
    from dsenv.cli import diagnostics
    from dsenv.workflows.runs import Wanted

    assert isinstance(wanted, Wanted)
    head: tuple[str, ...] = ("RUN", "STATUS", "WHEN", "COMMAND", "WHY")
    newest_failed = None
    empty = True
    widths: list[int] = []
    for size in itertools.chain([_SCREEN], itertools.repeat(_PAGE)):
        page = list(itertools.islice(shown, size))
        if not page:
            break
        output.write(output.table(head if empty else (), [_row(run) for run in page], widths))
        empty = False
        newest_failed = newest_failed or next((run for run in page if run.failed), None)
    if empty:
        diagnostics.write(f"no {'failed ' if wanted.failed else ''}runs in {store}")
        return
    if wanted.limit is not None and next(found, None) is not None:
        diagnostics.write(f"older runs are not shown; use --limit {wanted.limit * 2}, or --since 30d")
    if newest_failed:
        diagnostics.write(f"reproduce one with: {wording.command('dsenv', 'reproduce', newest_failed.id)}")


def _row(run: RunSummary) -> tuple[str, ...]:
    from dsenv import wording

    command = wording.brief(run.command, 40)
    return (run.id, run.status, wording.ago(run.started), command, wording.shorten(wording.reason(run), 60))


def prune(
    older_than: Annotated[
        str | None,
        typer.Option("--older-than", metavar="WHEN", help="What was started earlier may go: 90d, 4w, or a date."),
    ] = None,
    max_size: Annotated[
        str | None,
        typer.Option("--max-size", metavar="SIZE", help="The oldest go until the store is this small: 500MB, 50GB."),
    ] = None,
    status: Annotated[
        list[str] | None,
        typer.Option("--status", metavar="STATUS", help="Only these may go: succeeded, failed, lost. Can be repeated."),
    ] = None,
    store: options.Store = None,
    dry_run: options.DryRun = False,
    yes: options.Yes = False,
    json: options.Json = False,
    progress: options.ProgressOption = "auto",
) -> None:
    """Delete old runs, and what no run refers to any more. Safe beside captures that write.

    Example: dsenv runs prune --older-than 90d --status succeeded --dry-run
    """
    import time

    from dsenv import wording
    from dsenv.cli import diagnostics
    from dsenv.events import Cancel
    from dsenv.workflows import prune as workflow
    from dsenv.workflows import when

    rules = workflow.rules(
        before=when.parse(older_than, time.time()) if older_than else None, max_size=max_size, statuses=status or []
    )
    if not dry_run and diagnostics.interactive(as_json=json, assume_yes=yes):
        with diagnostics.listener(diagnostics.mode(progress)) as emit:
            plan = workflow.prune(store, rules, dry_run=True, emit=emit, cancel=Cancel())
        if not diagnostics.confirm(f"delete {_described(plan)}?"):
            raise typer.Exit(1)
    with diagnostics.listener(diagnostics.mode(progress)) as emit:
        result = workflow.prune(store, rules, dry_run=dry_run, emit=emit, cancel=Cancel())
    if json:
        output.write_json(result)
        return
    stays = f"{wording.count(result.kept, 'run')} {'stays' if result.kept == 1 else 'stay'}"
    output.write(f"{'would delete' if dry_run else 'deleted'} {_described(result)}; {stays}")
    for run in result.unreadable:
        diagnostics.write(f"{run} cannot be read, so no blob was collected; look at it with: dsenv show {run}")


def _described(result: Pruned) -> str:
    from dsenv import wording

    what = f"{wording.count(len(result.runs), 'run')} and {wording.count(result.blobs, 'blob')}"
    return f"{what}, {result.bytes / 1e6:,.1f} MB"
