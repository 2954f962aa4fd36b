"""Tasks of dsenv.toml: what they run, in which order, and what stops when one fails."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import difflib
import re
import shlex
from collections.abc import Callable, Mapping, Sequence

from dsenv.config.schema import Task
from dsenv.errors import ConfigError, UsageError

_PLACE = re.compile(r"\{\{([A-Za-z_][A-Za-z0-9_]*)\}\}|\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclasses.dataclass(frozen=True)
class Planned:
    """A task that is ready to run."""

    name: str
    argv: list[str]
    needs: list[str]


@dataclasses.dataclass(frozen=True)
class Plan:
    """Tasks in an order in which each comes after those it needs; the last one was asked for."""

    tasks: list[Planned]


def plan(tasks: Mapping[str, Task], name: str, parameters: Sequence[str]) -> Plan:
    """What running `name` means. `parameters` are NAME=VALUE. Raises UsageError, ConfigError."""
    if name not in tasks:
        near = difflib.get_close_matches(name, list(tasks), n=1)
        known = f"did you mean {near[0]}?" if near else f"known tasks: {', '.join(sorted(tasks)) or 'none'}"
        raise UsageError(f"there is no task {name}; {known}", hint=f"for a command: dsenv run -- {name} ...")
    order = _order(tasks, name)
    given = _given(parameters)
    for key in given:
        if not any(key in tasks[task].params for task in order):
            names = sorted({param for task in order for param in tasks[task].params})
            raise UsageError(
                f"no parameter {key} in {', '.join(order)}", hint=f"parameters: {', '.join(names) or 'none'}"
            )
    planned = []
    for task in order:
        values = {key: _value(key, given.get(key), default) for key, default in tasks[task].params.items()}
        planned.append(Planned(task, command(task, tasks[task].run, values), list(tasks[task].needs)))
    return Plan(planned)


def _value(key: str, given: str | None, default: str | int | float | bool) -> str:
    """A parameter as text: what was given, when it is of the default's type. Raises UsageError."""
    if given is None or isinstance(default, str):
        return _text(default) if given is None else given
    wanted = {bool: "true or false", int: "a whole number", float: "a number"}[type(default)]
    try:
        if isinstance(default, bool):
            fits = given in {"true", "false"}
        else:
            type(default)(given)
            fits = True
    except ValueError:
        fits = False
    if not fits:
        raise UsageError(f"{key} is {wanted}, not {given}", hint=f"for example: -p {key}={_text(default)}")
    return given


def command(name: str, line: str, values: Mapping[str, str]) -> list[str]:
    """A task's line as words. Parameters are put in after it was split: their spaces and quotes are their own."""
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise ConfigError(f"task {name}: {error} in: {line}", hint="close the quotes in dsenv.toml") from error
    if not words:
        raise ConfigError(f"task {name} runs nothing", hint=f"write a command into [tasks.{name}] run")

    def put(match: re.Match[str]) -> str:
        literal, key = match.groups()
        if literal:
            return f"{{{literal}}}"
        if key not in values:
            raise ConfigError(
                f"task {name} uses {{{key}}}, which is not among its params",
                hint=f"add it to [tasks.{name}] params, or write {{{{{key}}}}} for the braces themselves",
            )
        return values[key]

    return [_PLACE.sub(put, word) for word in words]


def execute(plan: Plan, run: Callable[[Planned], bool], jobs: int) -> list[str]:
    """Run each task when those it needs have succeeded, up to `jobs` at a time. Returns the names that never ran.

    `run` says whether the task succeeded; what it raises ends the whole once the running ones have ended.
    """
    waiting = {task.name: task for task in plan.tasks}
    succeeded: set[str] = set()
    failed: set[str] = set()
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        running: dict[concurrent.futures.Future[bool], str] = {}
        while True:
            for task in [task for task in waiting.values() if succeeded.issuperset(task.needs)]:
                if len(running) < jobs:
                    running[pool.submit(run, waiting.pop(task.name))] = task.name
            if not running:
                return [name for name in waiting if name not in failed]
            done, _ = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
            for future in done:
                (succeeded if future.result() else failed).add(running.pop(future))


def _order(tasks: Mapping[str, Task], name: str) -> list[str]:
    order: list[str] = []
    path: list[str] = []

    def visit(task: str, wanted_by: str | None) -> None:
        if task in order:
            return
        if task in path:
            circle = " -> ".join([*path[path.index(task) :], task])
            raise ConfigError(f"tasks need each other in a circle: {circle}", hint="take one `needs` out of dsenv.toml")
        if task not in tasks:
            raise ConfigError(
                f"task {wanted_by} needs {task}, which is not a task", hint=f"known tasks: {', '.join(sorted(tasks))}"
            )
        path.append(task)
        for need in tasks[task].needs:
            visit(need, task)
        path.pop()
        order.append(task)

    visit(name, None)
    return order


def _given(parameters: Sequence[str]) -> dict[str, str]:
    values = {}
    for word in parameters:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise UsageError(f"{word} is not NAME=VALUE", hint="for example: dsenv run train -p rows=1000")
        values[key] = value
    return values


def _text(value: str | float | bool) -> str:
    """A parameter as dsenv.toml writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
