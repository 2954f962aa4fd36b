"""`dsenv status`."""

from __future__ import annotations

from dsenv.cli.options import Json, Workstation


def status(name: Workstation = "default", json: Json = False) -> None:
    """Show one workstation: its state, what it has, and what runs on it.

    Example: dsenv status
    """
    from dsenv.cli import diagnostics, output
    from dsenv.workflows import ls
    from dsenv.workflows import status as workflow
    from dsenv.workflows.target import open_target

    target = open_target(name)
    result = workflow.status(target)
    if json:
        output.write_json(result)
        return
    if result.workstation is None:
        output.write(f"{name}: not made yet; dsenv up")
        for item in ls.left_behind(target.identity.project):
            diagnostics.write(item.advice)
        return
    lines = [
        f"{name}: {result.workstation.state} ({result.workstation.provider}, {result.workstation.note})",
        f"  ssh          {result.workstation.alias}",
        f"  home         {result.home}",
        f"  environment  {result.environment or 'none for the present lock; dsenv up'}",
    ]
    lines += [f"  run          {job.id}  {' '.join(job.command)}" for job in result.running]
    output.write("\n".join(lines))
