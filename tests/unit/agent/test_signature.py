from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsenv.agent import signature
from dsenv.agent.schema import Failure, FrameDetail, Frames

ROOT = "/srv/app"


def frame(file: str, function: str, user: bool = True, line: int = 3) -> FrameDetail:
    return {
        "file": file,
        "function": function,
        "line": line,
        "first_line": 1,
        "source": ["a", "b", "  c  "],
        "user": user,
    }


def failure(**changes: Any) -> Failure:
    error = {
        "type": "ValueError",
        "message": "bad row 17",
        "link": "cause",
        "frames": [frame("/srv/app/a.py", "main"), frame("/srv/app/b.py", "Model.fit"), frame("/x/lib.py", "g", False)],
    }
    found: Any = {"pid": 1, "when": 5, "how": "uncaught", "exceptions": [error, {"type": "KeyError", "link": None}]}
    return found | changes  # type: ignore[no-any-return]


def frames(*failures: Failure, primary: int | None = 0) -> Frames:
    return {"format": 1, "primary": primary, "failures": list(failures)}


def test_the_frame_is_the_deepest_of_the_users() -> None:
    assert signature.of(frames(failure()), 1, None, root=ROOT) == {
        "kind": "exception",
        "type": "ValueError",
        "message": "bad row <n>",
        "frame": {"file": "b.py", "function": "fit", "line": 3, "line_text": "c"},
        "signal": None,
        "cause": "KeyError",
        "exit": None,
    }


def test_without_a_frame_of_the_users_it_is_the_deepest_of_all() -> None:
    error = {"type": "E", "frames": [frame("/usr/lib/python3.11/json/a.py", "loads", False)]}
    found = signature.of(frames(failure(exceptions=[error])), 1, None, root=ROOT)
    assert found is not None and found["frame"] is not None and found["frame"]["file"] == "lib/json/a.py"


def test_comprehensions_count_as_their_function() -> None:
    error = {"type": "E", "frames": [frame("/srv/app/a.py", "main"), frame("/srv/app/a.py", "main.<listcomp>")]}
    found = signature.of(frames(failure(exceptions=[error])), 1, None, root=ROOT)
    assert found is not None and found["frame"] is not None and found["frame"]["function"] == "main"


def test_how_a_command_can_end() -> None:
    assert signature.of(frames(failure()), 0, None) is None
    killed = signature.of(frames(failure()), None, "SIGKILL", cause="out-of-memory")
    assert killed is not None and (killed["kind"], killed["signal"], killed["cause"]) == (
        "signal", "SIGKILL", "out-of-memory",
    )  # fmt: skip
    plain = signature.of(frames(primary=None), 3, None)
    assert plain is not None and (plain["kind"], plain["exit"]) == ("exit", 3)
    assert signature.of_failure(failure(exceptions=[]), ROOT) is None


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("division by zero", "division by zero"),
        ("row 17 of 1,000 at 3.5e-7", "row <n> of <n> at <n>"),
        ("<Thing at 0x7f1234abcd>", "<Thing at <address>>"),
        ("[Errno 2] No such file or directory: '/data/2024/x.csv'", "[Errno <n>] No such file or directory: '<path>'"),
        ("see C:\\temp\\x.txt", "see <path>"),
        ("run 123e4567-e89b-12d3-a456-426614174000", "run <id>"),
        ("commit 9f86d081884c7d65", "commit <id>"),
        ("get https://example.invalid/a?b=1 failed", "get <url> failed"),
        ("a / b and/or c", "a / b and/or c"),
        ("two\n  lines", "two lines"),
        ("../up/file.txt and ~/x", "<path> and <path>"),
    ],
)
def test_what_differs_between_occurrences_is_left_out(message: str, expected: str) -> None:
    assert signature.normalise(message) == expected


@given(st.text(max_size=300))
def test_normalising_twice_changes_nothing(message: str) -> None:
    once = signature.normalise(message)
    assert signature.normalise(once) == once


@given(st.text(st.characters(categories=["L", "Zs"]), max_size=40), st.integers(0, 10**9), st.integers(0, 10**9))
def test_numbers_never_tell_two_failures_apart(text: str, first: int, second: int) -> None:
    a = signature.of(frames(failure(exceptions=[{"type": "E", "message": f"{text} {first}", "frames": []}])), 1, None)
    b = signature.of(frames(failure(exceptions=[{"type": "E", "message": f"{text} {second}", "frames": []}])), 1, None)
    assert signature.same(a, b)


def test_sameness() -> None:
    base = signature.of(frames(failure()), 1, None, root=ROOT)
    assert base is not None
    assert signature.same(base, {**base, "frame": {**(base["frame"] or {}), "line": 99}, "exit": 7})
    for change in ({"type": "KeyError"}, {"message": "other"}, {"cause": None}, {"frame": None}, {"kind": "exit"}):
        assert not signature.same(base, {**base, **change})
    assert signature.same(None, None) and not signature.same(base, None)
    ended = signature.of(frames(primary=None), 3, None)
    assert ended is not None and not signature.same(ended, {**ended, "exit": 4})


def test_which_failure_ended_the_command() -> None:
    early, late = failure(when=1), failure(when=9)
    logged, thread = failure(when=20, how="logged"), failure(when=30, how="thread")
    assert signature.choose([early, late, logged, thread], 1, False) == 1
    assert signature.choose([logged, thread], 1, False) == 0
    assert signature.choose([thread], 1, False) == 0
    assert signature.choose([early], 0, False) is None
    assert signature.choose([], 1, False) is None
    assert signature.choose([early], 3, True) is None, "the script went on and ended with another code"
    assert signature.choose([early], 1, True) == 0
    assert signature.choose([failure(how="exit", code=3)], 3, True) == 0


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("/srv/app/pkg/a.py", "pkg/a.py"),
        ("/srv/application/a.py", "/srv/application/a.py"),
        ("/srv/app/.venv/lib/python3.11/site-packages/pandas/io.py", "site-packages/pandas/io.py"),
        ("/usr/lib/python3/dist-packages/yaml/a.py", "site-packages/yaml/a.py"),
        ("/opt/py/lib/python3.12/json/__init__.py", "lib/json/__init__.py"),
        ("<string>", "<string>"),
    ],
)
def test_file_names_are_the_same_on_every_machine(file: str, expected: str) -> None:
    assert signature.relative(file, ROOT) == expected
