"""`dsenv start`."""

from __future__ import annotations

from dsenv.cli.options import Json, ProgressOption, Workstation


def start(name: Workstation = "default", json: Json = False, progress: ProgressOption = "auto") -> None:
    """Switch a stopped workstation on again.

    Example: dsenv start
    """
    from dsenv.cli import diagnostics, output
    from dsenv.events import Cancel
    from dsenv.workflows import start as workflow
    from dsenv.workflows.target import open_target

    with diagnostics.listener(diagnostics.mode(progress)) as emit:
        result = workflow.start(open_target(name), emit=emit, cancel=Cancel())
    output.write_json(result) if json else output.write(f"{name} is {result.state}; ssh {result.alias}")
