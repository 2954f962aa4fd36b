"""Bring the code to the workstation, run a command there as if it were here, bring its outputs back."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

from dsenv.agent import runid
from dsenv.errors import UsageError
from dsenv.events import Cancel, Emit, step
from dsenv.models.machine import Machine
from dsenv.sync.client import AgentClient, RefusedError, as_error
from dsenv.sync.follow import Console, Follow, Outcome
from dsenv.sync.pull import Pulled
from dsenv.transports.base import Pty
from dsenv.workflows import environment, pull, records, sync, tasks
from dsenv.workflows.target import Target, agent_client


@dataclasses.dataclass(frozen=True)
class Command:
    """What to run."""

    argv: Sequence[str]
    task: str | None = None
    env: Mapping[str, str] = dataclasses.field(default_factory=dict)
    secrets: Sequence[str] = ()  # names in `env` whose values must not be stored or shown
    detach: bool = False
    pty: Pty | None = None
    stdin: bool = True  # whether there is input to forward
    group: str = ""  # runs that share the tree: the tasks of one command


@dataclasses.dataclass(frozen=True)
class Ran:
    """A run that has ended, or that was left running."""

    id: str
    workstation: str
    command: list[str]
    task: str | None
    status: str  # done | running | lost
    exit: int | None
    signal: int | None
    store: str | None
    outputs: Pulled

    @property
    def code(self) -> int:
        """The exit code to pass on."""
        return 0 if self.status == "running" else Outcome(self.status, self.exit, self.signal, "").code


def alone(command: Command, plan: tasks.Plan | None) -> Command:
    """`command` as the only task of a plan, or as it is without one."""
    if plan is None:
        return command
    return dataclasses.replace(command, argv=plan.tasks[-1].argv, task=plan.tasks[-1].name)


def variables(target: Target, names: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """What is sent with a run: [run] env, the variables named on the command line, and secrets. Raises UsageError."""
    settings = target.project.config.run
    values = dict(settings.env)
    for name in [*names, *settings.secrets]:
        key, equals, value = name.partition("=")
        if equals and name in names:
            values[key] = value
        elif key in os.environ:
            values[key] = os.environ[key]
        else:
            raise UsageError(f"the variable {key} is not set here", hint=f"export {key}=..., then repeat")
    return values, list(settings.secrets)


def run(target: Target, command: Command, console: Console, *, emit: Emit, cancel: Cancel) -> Ran:
    """Run to the end, or start and leave when `detach` is set. Raises DsenvError for failures of our own."""
    job = runid.new()
    client = agent_client(target)
    machine = client.machine
    try:
        with target.locked(cancel):
            sync.push(target, client, machine, job, emit=emit, cancel=cancel)
            ready = _environment(target, machine, emit, cancel)
            answer = _start(client, machine, _request(target, machine, command, job, ready))
        return _follow(target, machine, client, command, answer, console, emit, cancel)
    finally:
        client.close()


@dataclasses.dataclass(frozen=True)
class RanTasks:
    """Tasks that were run, in the order in which they ended."""

    task: str
    runs: list[Ran]
    skipped: list[str]  # because a task that they need failed

    @property
    def code(self) -> int:
        """The command's own code where one task failed, 1 where several did."""
        failed = [ran.code for ran in self.runs if ran.code]
        return failed[0] if len(failed) == 1 else min(len(failed), 1)


def run_tasks(
    target: Target, plan: tasks.Plan, command: Command, console: Console, *, jobs: int, emit: Emit, cancel: Cancel
) -> RanTasks:
    """Run a task and those it needs on one and the same state of the code. `command` gives all but argv and name."""
    group = runid.new()
    with agent_client(target) as client, target.locked(cancel):
        machine = client.machine
        root = sync.push(target, client, machine, group, emit=emit, cancel=cancel).root
        ready = _environment(target, machine, emit, cancel)
    runs: list[Ran] = []

    def one(task: tasks.Planned) -> bool:
        cancel.check()
        mine = dataclasses.replace(command, argv=task.argv, task=task.name, group=group)
        with step(emit, f"task-{task.name}", f"task {task.name}") as note, agent_client(target) as client:
            request = {**_request(target, machine, mine, runid.new(), ready), "root": root}
            answer = _start(client, machine, request)
            ran = _follow(target, machine, client, mine, answer, console, emit, cancel)
            note.failed = ran.code != 0 or ran.status != "done"
            note.note = f"exit code {ran.code}" if note.failed else ""
        runs.append(ran)
        return ran.code == 0 and ran.status == "done"

    skipped = tasks.execute(plan, one, jobs)
    return RanTasks(plan.tasks[-1].name, runs, skipped)


def _environment(target: Target, machine: Machine, emit: Emit, cancel: Cancel) -> environment.Ready | None:
    ready = environment.known(target, machine)
    if ready or not target.project.lock_file.is_file():
        return ready
    with target.provider.transport(machine) as transport:
        return environment.ensure(target, machine, transport, emit, cancel)


def _request(
    target: Target, machine: Machine, command: Command, job: str, ready: environment.Ready | None
) -> dict[str, Any]:
    request: dict[str, Any] = {
        "job": job,
        "argv": list(command.argv),
        "env": dict(command.env),
        "secrets": list(command.secrets),
        "task": command.task,
        "project": target.project.config.project.name,
        "group": command.group,
        "prefix": ready.prefix if ready else None,
        "store": records.store_there(target, machine),
        "detach": command.detach,
        "stdin": command.stdin and not command.detach,
        "tty": command.pty is not None,
    }
    if command.pty:
        request |= {"rows": command.pty.rows, "columns": command.pty.columns, "term": command.pty.term}
    return request


def _start(client: AgentClient, machine: Machine, request: dict[str, Any]) -> dict[str, Any]:
    client.request("run", **request)
    try:
        return client.answer()
    except RefusedError as refused:
        raise as_error(refused, machine) from refused


def _follow(
    target: Target,
    machine: Machine,
    client: AgentClient,
    command: Command,
    answer: Mapping[str, Any],
    console: Console,
    emit: Emit,
    cancel: Cancel,
) -> Ran:
    """Follow a run that was just started, and bring its outputs back when it has ended."""
    job, root = str(answer["job"]), str(answer["root"])
    outcome, outputs = Outcome("running", None, None, root), Pulled()
    if not command.detach:
        outcome, outputs = pull.follow(
            target, machine, Follow(job, lambda: agent_client(target), console, emit, cancel), client, job, emit, cancel
        )
    return Ran(
        id=job,
        workstation=target.identity.name,
        command=list(command.argv),
        task=command.task,
        status=outcome.status,
        exit=outcome.exit,
        signal=outcome.signal,
        store=(records.store_there if command.detach else records.store_at_home)(target, machine),
        outputs=outputs,
    )
