"""`dsenv down`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dsenv.cli.options import DryRun, Json, ProgressOption, Workstation, Yes

if TYPE_CHECKING:
    from dsenv.workflows.down import Down, Forgotten
    from dsenv.workflows.target import Target


def down(
    name: Workstation = "default",
    project: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Of the project that was in this folder, as `dsenv ls` says.")
    ] = None,
    forget: Annotated[
        bool, typer.Option("--forget", help="Destroy nothing, only forget it here: its machine is gone for good.")
    ] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    json: Json = False,
    progress: ProgressOption = "auto",
) -> None:
    """Destroy a workstation with the files on it, and say what was destroyed.

    --forget is refused while the workstation is there; else it says what may remain.

    Example: dsenv down --dry-run
    """
    from dsenv.cli import diagnostics, output
    from dsenv.events import Cancel
    from dsenv.workflows import down as workflow
    from dsenv.workflows import ls
    from dsenv.workflows.target import open_of, open_target

    target = open_of(name, project) if project else open_target(name)
    if forget:
        _forget(target, dry_run=dry_run, yes=yes, json=json, progress=progress)
        return
    plan = workflow.plan(target)
    if not dry_run:
        asking = plan.existed and diagnostics.interactive(as_json=json, assume_yes=yes)
        if asking and not diagnostics.confirm(f"destroy {_described(plan)}?"):
            raise typer.Exit(1)
        with diagnostics.listener(diagnostics.mode(progress)) as emit:
            plan = workflow.down(target, emit=emit, cancel=Cancel())
    if json:
        output.write_json(plan)
    elif not plan.existed:
        output.write(f"there is no workstation {name}")
        for item in ls.left_behind(target.identity.project):
            diagnostics.write(item.advice)
    else:
        output.write(f"{'would destroy' if dry_run else 'destroyed'} {_described(plan)}")


def _forget(target: Target, *, dry_run: bool, yes: bool, json: bool, progress: str) -> None:
    from dsenv.cli import diagnostics, output
    from dsenv.events import Cancel
    from dsenv.workflows import down as workflow

    plan = workflow.plan_to_forget(target)
    if not dry_run:
        if plan.known and diagnostics.interactive(as_json=json, assume_yes=yes):
            diagnostics.write("\n".join(_remains(plan)))
            if not diagnostics.confirm(f"forget the workstation {plan.name} here?"):
                raise typer.Exit(1)
        with diagnostics.listener(diagnostics.mode(progress)) as emit:
            plan = workflow.forget(target, emit=emit, cancel=Cancel())
    if json:
        output.write_json(plan)
        return
    if not plan.known:
        output.write(f"there is no workstation {plan.name}")
        return
    output.write(f"{'would forget' if dry_run else 'forgot'} the workstation {plan.name}; nothing is destroyed")
    output.write("\n".join(_remains(plan)))


def _remains(plan: Forgotten) -> Iterator[str]:
    if plan.unreachable is None:
        yield f"nothing remains: {plan.provider} says that it is not there"
        return
    yield f"it could not be asked: {plan.unreachable}"
    yield f"what may remain: its files, and what runs there, in {plan.remains}"
    if plan.advice:
        yield f"it may go on costing money; once {plan.provider} answers: {plan.advice}"


def _described(plan: Down) -> str:
    parts = [f"the workstation {plan.name} ({plan.what})"]
    if plan.files is not None:
        parts.append(f"{plan.files} files ({(plan.bytes or 0) / 1e6:.1f} MB) in {plan.home}")
    elif plan.home:
        parts.append(f"all files in {plan.home}")
    if plan.ended_runs:
        parts.append(f"running: {', '.join(plan.ended_runs)}")
    return ", ".join(parts)
