"""`dsenv lock`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from dsenv.cli.options import DryRun, Json, ProgressOption


def lock(
    check: Annotated[bool, typer.Option("--check", help="Only say whether the lock is fresh; exit 1 if not.")] = False,
    upgrade: Annotated[
        list[str] | None,
        typer.Option("--upgrade", "-P", metavar="PKG", help="Allow a newer version of PKG; repeatable."),
    ] = None,
    from_active: Annotated[
        bool, typer.Option("--from-active", help="Lock what the active environment has, version for version.")
    ] = False,
    dry_run: DryRun = False,
    json: Json = False,
    progress: ProgressOption = "auto",
) -> None:
    """Lock the environment into pylock.toml.

    For all platforms of dsenv.toml, with hashes. Versions that are locked stay as they are unless the source
    excludes them or --upgrade names them.

    Example: dsenv lock --upgrade numpy
    """
    from dsenv.cli import diagnostics, output
    from dsenv.config import load
    from dsenv.errors import UsageError
    from dsenv.events import Cancel
    from dsenv.workflows import lock as workflow

    if check and (upgrade or from_active or dry_run):
        raise UsageError("--check goes with no other option", hint="dsenv lock --check")
    if from_active and upgrade:
        raise UsageError(
            "--from-active keeps every version, so it goes not with --upgrade", hint="dsenv lock --upgrade PKG"
        )
    project = load.load()
    if check:
        answer = workflow.check(project)
        output.write_json(answer) if json else output.write(_freshness(answer))
        if not answer.fresh:
            raise typer.Exit(1)
        return
    with diagnostics.listener(diagnostics.mode(progress)) as emit:
        if from_active:
            result = workflow.lock_active(project, dry_run=dry_run, emit=emit, cancel=Cancel())
        else:
            result = workflow.lock(project, upgrade=tuple(upgrade or ()), dry_run=dry_run, emit=emit, cancel=Cancel())
    output.write_json(result) if json else output.write(_summary(result, dry_run=dry_run))


def _freshness(answer: Any) -> str:
    if answer.fresh:
        return f"{answer.lock.name} is fresh"
    return "\n".join([f"{answer.lock.name} is stale: {answer.reasons[0]}", *answer.reasons[1:], "next: dsenv lock"])


def _summary(result: Any, *, dry_run: bool) -> str:
    lines = []
    for change in result.changes:
        if change.before is None:
            lines.append(f"+ {change.name} {change.after}")
        elif change.after is None:
            lines.append(f"- {change.name} {change.before}")
        else:
            lines.append(f"~ {change.name} {change.before} -> {change.after}")
    lines += result.notes
    verb = "would write" if dry_run else "wrote" if result.written else "unchanged:"
    lines.append(
        f"{verb} {result.lock.name}: {result.packages} packages, Python {result.python}, "
        f"{', '.join(result.platforms)}, id {result.id[:12]}"
    )
    return "\n".join(lines)
