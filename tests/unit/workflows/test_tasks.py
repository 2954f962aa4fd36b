from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsenv.config.schema import Task
from dsenv.errors import ConfigError, UsageError
from dsenv.workflows import tasks


def _tasks(**needs: list[str]) -> dict[str, Task]:
    return {name: Task(run=f"do {name}", needs=list(on)) for name, on in needs.items()}


def test_needs_come_first_and_once() -> None:
    plan = tasks.plan(_tasks(d=["b", "c"], b=["a"], c=["a"], a=[], other=[]), "d", [])
    assert [task.name for task in plan.tasks] == ["a", "b", "c", "d"]


def test_a_circle_is_shown() -> None:
    with pytest.raises(ConfigError, match="a -> b -> c -> a") as caught:
        tasks.plan(_tasks(x=["a"], a=["b"], b=["c"], c=["a"]), "x", [])
    assert caught.value.hint


def test_a_need_that_is_no_task() -> None:
    with pytest.raises(ConfigError, match="a needs nothing"):
        tasks.plan(_tasks(a=["nothing"]), "a", [])


def test_an_unknown_task_has_a_neighbour() -> None:
    with pytest.raises(UsageError, match="did you mean train"):
        tasks.plan(_tasks(train=[]), "trian", [])
    with pytest.raises(UsageError, match="known tasks: none"):
        tasks.plan({}, "x", [])


def test_parameters_are_put_in_after_the_split() -> None:
    line = "python t.py --name {name} '--q={q}' {{name}} '{\"json\": {\"a\": 1}}'"
    assert tasks.command("t", line, {"name": "a b'\"", "q": "$(x)"}) == [
        "python", "t.py", "--name", "a b'\"", "--q=$(x)", "{name}", '{"json": {"a": 1}}',
    ]  # fmt: skip


@given(value=st.text(max_size=20))
def test_no_value_can_break_out_of_its_word(value: str) -> None:
    assert tasks.command("t", "cmd {v} end", {"v": value}) == ["cmd", value, "end"]


def test_parameters_reach_the_tasks_that_have_them() -> None:
    known = {
        "a": Task(run="a {rows} {flag}", params={"rows": 10, "flag": True}),
        "b": Task(run="b {rate}", needs=["a"], params={"rate": 0.5}),
    }
    plan = tasks.plan(known, "b", ["rows=7"])
    assert [task.argv for task in plan.tasks] == [["a", "7", "true"], ["b", "0.5"]]
    with pytest.raises(UsageError, match="no parameter speed"):
        tasks.plan(known, "b", ["speed=7"])
    with pytest.raises(UsageError, match="NAME=VALUE"):
        tasks.plan(known, "b", ["rows"])


@pytest.mark.parametrize(
    ("line", "message"), [("a 'b", "No closing quotation"), ("''x {y}", "{y}"), ("   ", "nothing")]
)
def test_lines_that_cannot_be_run(line: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        tasks.command("t", line, {})


def test_independent_tasks_run_together_and_dependants_wait() -> None:
    plan = tasks.plan(_tasks(d=["b", "c"], b=["a"], c=["a"], a=[]), "d", [])
    together = threading.Barrier(2, timeout=10)
    order: list[str] = []

    def run(task: tasks.Planned) -> bool:
        if task.name in {"b", "c"}:
            together.wait()
        order.append(task.name)
        return True

    assert tasks.execute(plan, run, 2) == []
    assert order[0] == "a"
    assert order[-1] == "d"


def test_a_failure_stops_those_that_need_it_and_no_others() -> None:
    plan = tasks.plan(_tasks(end=["bad", "good"], bad=[], good=["slow"], slow=[]), "end", [])
    done: list[str] = []

    def run(task: tasks.Planned) -> bool:
        if task.name == "slow":
            time.sleep(0.05)
        done.append(task.name)
        return task.name != "bad"

    assert tasks.execute(plan, run, 4) == ["end"]
    assert sorted(done) == ["bad", "good", "slow"]


def test_one_at_a_time() -> None:
    plan = tasks.plan(_tasks(d=["a", "b", "c"], a=[], b=[], c=[]), "d", [])
    running: list[str] = []
    most = 0

    def run(task: tasks.Planned) -> bool:
        nonlocal most
        running.append(task.name)
        most = max(most, len(running))
        time.sleep(0.01)
        running.remove(task.name)
        return True

    assert tasks.execute(plan, run, 1) == []
    assert most == 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("n=x", "n is a whole number, not x"),
        ("rate=fast", "rate is a number, not fast"),
        ("loud=1", "loud is true or false"),
    ],
)
def test_a_parameter_has_the_type_of_its_default(given: str, message: str) -> None:
    known = {"t": Task(run="echo {n} {rate} {loud} {name}", params={"n": 1, "rate": 0.5, "loud": True, "name": "x"})}
    with pytest.raises(UsageError, match=message) as caught:
        tasks.plan(known, "t", [given])
    assert "for example: -p" in (caught.value.hint or "")
    planned = tasks.plan(known, "t", ["n=-3", "rate=1e-3", "loud=false", "name=7"])
    assert planned.tasks[0].argv == ["echo", "-3", "1e-3", "false", "7"]
