"""Which failure ended a command, by what its processes told and how it ended."""

from __future__ import annotations

from typing import Any

import pytest

from dsenv.agent import signature
from dsenv.agent.capture.judge import Ending, judge
from dsenv.agent.capture.record import Told, gather


def failure(how: str, kind: str, *, when: int = 1, pid: int = 1, cause: str = "", **more: Any) -> dict[str, Any]:
    frame = {"file": "/app/a.py", "function": f"{how}_{pid}", "line": 1, "first_line": 1, "source": ["x"], "user": True}
    errors = [{"type": kind, "message": "m", "link": "cause" if cause else None, "frames": [frame]}]
    errors += [{"type": cause, "message": "text", "link": None, "frames": []}] if cause else []
    return {"pid": pid, "when": when, "how": how, "exceptions": errors} | more


def told(*failures: dict[str, Any]) -> Told:
    return gather({"e": "failure", "failure": item} for item in failures)


SEGV = failure("fatal", "SIGSEGV", pid=2)
REMOTE = "multiprocessing.pool.RemoteTraceback"


@pytest.mark.parametrize(
    ("failures", "ending", "kind", "function"),
    [
        # A worker's own frame counts, not that of the parent which raises its exception again.
        (
            [
                failure("worker", "KeyError", pid=2),
                failure("worker", "ValueError", pid=3),
                failure("uncaught", "KeyError", when=5, cause=REMOTE),
            ],
            Ending(1, None),
            "KeyError",
            "worker_2",
        ),
        # A worker that nobody looked into.
        ([failure("uncaught", "KeyError", cause=REMOTE)], Ending(1, None), "KeyError", "uncaught_1"),
        (
            [
                failure("notebook", "KeyError", pid=2),
                failure("uncaught", "nbclient.exceptions.CellExecutionError", when=3),
            ],
            Ending(1, None),
            "KeyError",
            "notebook_2",
        ),
        # The place of an exit is the last thing that is looked at, but for tasks.
        (
            [failure("thread", "KeyError"), failure("exit", "SystemExit", when=9, code=3)],
            Ending(3, None),
            "KeyError",
            "thread_1",
        ),
        (
            [failure("task", "KeyError"), failure("exit", "SystemExit", when=9, code=3)],
            Ending(3, None),
            "exit",
            "exit_1",
        ),
        ([failure("exit", "SystemExit", code=3)], Ending(4, None), "exit", None),
        ([failure("unraisable", "KeyError")], Ending(4, None), "exit", None),
        # Signals: of the command, and as a shell in front of it says them.
        ([SEGV], Ending(None, "SIGSEGV"), "SIGSEGV", "fatal_2"),
        ([SEGV], Ending(None, "SIGKILL"), "SIGKILL", None),
        ([SEGV], Ending(139, None), "SIGSEGV", "fatal_2"),
        ([SEGV], Ending(1, None), "exit", None),
        ([], Ending(139, None), "exit", None),
        ([failure("memory", "out-of-memory")], Ending(137, None, "out-of-memory"), "SIGKILL", "memory_1"),
        ([failure("time-out", "time-out")], Ending(None, "SIGTERM", "time-out"), "SIGTERM", "time-out_1"),
        ([failure("signal", "SIGTERM")], Ending(None, "SIGTERM"), "SIGTERM", "signal_1"),
        ([failure("uncaught", "KeyboardInterrupt")], Ending(None, "SIGINT"), "SIGINT", "uncaught_1"),
    ],
)
def test_the_failure_that_says_most_counts(
    failures: list[dict[str, Any]], ending: Ending, kind: str, function: str | None
) -> None:
    _, found, _ = judge(told(*failures), ending, "/app")
    assert found is not None
    assert kind in (found["type"], found["signal"], found["kind"])
    assert (found["frame"]["function"] if found["frame"] else None) == function


def test_a_command_that_ended_well_has_no_signature_and_its_crashed_child_is_related() -> None:
    frames, found, related = judge(told(SEGV), Ending(0, None), "/app")
    assert (frames["primary"], found) == (None, None)
    assert [(item["kind"], item["signal"]) for item in related] == [("signal", "SIGSEGV")]


def test_the_place_of_a_signal_from_elsewhere_is_chance() -> None:
    def one(signal: str, function: str) -> Any:
        how = "fatal" if signal == "SIGSEGV" else "time-out"
        name = signal if signal == "SIGSEGV" else how
        item = failure(how, name)
        item["exceptions"][0]["frames"][0]["function"] = function
        return judge(told(item), Ending(None, signal, "time-out" if how == "time-out" else None), "/app")[1]

    assert signature.same(one("SIGTERM", "f"), one("SIGTERM", "g"))
    assert not signature.same(one("SIGSEGV", "f"), one("SIGSEGV", "g"))
    assert signature.same(one("SIGSEGV", "f"), one("SIGSEGV", "f") | {"frame": None})


def test_a_notebooks_file_is_the_same_in_every_kernel() -> None:
    assert signature.relative("/tmp/ipykernel_123/45.py", "/app") == "ipykernel/45.py"
