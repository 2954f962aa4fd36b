"""`dsenv run`."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dsenv.cli.dashes import DashCommand, behind
from dsenv.cli.options import DryRun, Json, On, ProgressOption

if TYPE_CHECKING:
    from dsenv.workflows.target import Target
    from dsenv.workflows.tasks import Plan


def register(app: typer.Typer) -> None:
    """Add the command, which keeps its hands off what stands behind `--`."""
    app.command("run", cls=DashCommand)(run)


def run(
    context: typer.Context,
    task: Annotated[
        str | None, typer.Argument(metavar="[TASK] [-- CMD...]", help="A task of dsenv.toml, or -- and a command.")
    ] = None,
    on: On = "default",
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Start it, print its id, leave it running.")] = False,
    env: Annotated[
        list[str] | None, typer.Option("--env", metavar="NAME[=VALUE]", help="Send this variable too; repeatable.")
    ] = None,
    param: Annotated[
        list[str] | None, typer.Option("--param", "-p", metavar="NAME=VALUE", help="A task's parameter; repeatable.")
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="How many tasks may run at the same time.")] = 2,
    dry_run: DryRun = False,
    json: Json = False,
    progress: ProgressOption = "auto",
) -> None:
    """Bring the code to the workstation and run there as if it were here.

    stdout, stderr and the exit code are the command's own; 125 is a failure of dsenv. ^C goes to the command, a
    second one detaches and leaves it running. Outputs come back when it has ended.

    Example: dsenv run -- python train.py --rows 1000
    """
    from dsenv.errors import UsageError
    from dsenv.workflows import tasks
    from dsenv.workflows.target import open_target

    words = behind(context)
    _check(task, words, param)
    target = open_target(on)
    plan = tasks.plan(target.project.config.tasks, task, param or []) if task else None
    if dry_run:
        _show_plan(plan, words, json)
        return
    if detach and plan and len(plan.tasks) > 1:
        raise UsageError(f"{task} needs other tasks, so it cannot be detached", hint=f"dsenv run {task}")
    how = _How(env or [], detach=detach, jobs=jobs, json=json, progress=progress)
    raise typer.Exit(_execute(target, plan, words or [], how))


@dataclasses.dataclass(frozen=True)
class _How:
    """The options that say how it is run and shown."""

    env: list[str]
    detach: bool
    jobs: int
    json: bool
    progress: str


def _check(task: str | None, words: list[str] | None, param: list[str] | None) -> None:
    from dsenv.errors import UsageError

    if (words is None) == (task is None) or words == []:
        raise UsageError(
            "say what to run: a task's name, or -- and a command",
            hint=f"dsenv run -- {task or ''} {' '.join(words or ['python', 'train.py'])}".replace("  ", " "),
        )
    if words and param:
        raise UsageError("--param is for tasks", hint="write the arguments into the command")


def _execute(target: Target, plan: Plan | None, words: list[str], how: _How) -> int:
    """The exit code to end with."""
    from dsenv.cli import diagnostics, output, terminal
    from dsenv.events import Cancel
    from dsenv.workflows import run as workflow

    alone = plan is None or len(plan.tasks) == 1
    values, secrets = workflow.variables(target, how.env)
    pty = terminal.pty() if alone and not (how.json or how.detach) else None
    console = terminal.TerminalConsole(
        raw=pty is not None,
        stdin=alone and not how.detach,
        whole_lines=not alone and how.jobs > 1,
        stdout_to_stderr=how.json,
    )
    command = workflow.Command(words, env=values, secrets=secrets, detach=how.detach, pty=pty, stdin=alone)
    cancel = Cancel()
    with diagnostics.listener(diagnostics.mode(how.progress)) as emit, console.active():
        result: Any
        if plan and not alone:
            result = workflow.run_tasks(target, plan, command, console, jobs=how.jobs, emit=emit, cancel=cancel)
        else:
            result = workflow.run(target, workflow.alone(command, plan), console, emit=emit, cancel=cancel)
    if how.json:
        output.write_json(result)
    elif how.detach:
        output.write(result.id)
    elif console.detached:
        console.say_detached(result.id if alone else "last")
    return 141 if console.reader_gone else int(result.code)


def _show_plan(plan: Plan | None, words: list[str] | None, as_json: bool) -> None:
    import shlex

    from dsenv.cli import output
    from dsenv.workflows.tasks import Plan, Planned

    shown = plan or Plan([Planned("", words or [], [])])
    if as_json:
        output.write_json(shown)
        return
    for item in shown.tasks:
        needs = f"   (needs {', '.join(item.needs)})" if item.needs else ""
        output.write(f"{item.name + ': ' if item.name else ''}{shlex.join(item.argv)}{needs}")
