"""What production knew, as the debugger shows it."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

from dsenv.agent.replay.production import Production, Value, differing


def here(depth: int = 0) -> tuple[list[FrameType], int]:
    """The stack as pdb has it, outermost first, and the place of our caller in it."""
    frames: list[FrameType] = []
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        frames.insert(0, frame)
        frame = frame.f_back
    return frames, len(frames) - 1 - depth


def recorded(function: str, *locals_: dict[str, Any]) -> dict[str, Any]:
    return {"file": f"/srv/app/{Path(__file__).name}", "function": function, "line": 1, "locals": list(locals_)}


def production(stack: tuple[list[FrameType], int], *frames: dict[str, Any], blobs: dict[str, str] | None = None) -> Any:
    told = {"root": "/srv/app", "exceptions": [list(frames)], "blobs": blobs or {}}
    return Production(told, str(Path(__file__).parent), lambda: stack)


def test_it_is_the_frame_of_the_same_file_and_function() -> None:
    name = "test_it_is_the_frame_of_the_same_file_and_function"
    frames = [recorded(function, {"name": "x", "preview": text}) for function, text in (("other", "1"), (name, "2"))]
    found = production(here(), *frames)
    assert repr(found.x) == "2" and dir(found) == ["x"]
    with pytest.raises(AttributeError, match="no local 'y'"):
        _ = found.y
    assert repr(production(here(), recorded("other"))) == "production was not in this function"


def test_of_a_recursion_it_is_the_frame_that_is_as_deep() -> None:
    frames = [recorded("down", {"name": "n", "preview": str(number)}) for number in (2, 1, 0)]

    def down(n: int) -> list[str]:
        if n:
            return down(n - 1)
        stack, index = here()
        return [repr(production((stack, index - depth), *frames).n) for depth in range(3)]

    assert down(2) == ["0", "1", "2"]


def test_values_are_as_recorded_and_nothing_is_run() -> None:
    table = Value({"name": "t", "type": "DataFrame", "shape": [3, 2], "columns": [{"name": "a"}], "preview": "..."})
    assert (table.shape, table.columns, table.type) == ([3, 2], [{"name": "a"}], "DataFrame")
    rows = Value({"name": "r", "preview": "{'a': [1]}", "items": [{"name": "'a'", "preview": "[1]"}]})
    assert rows.value == {"a": [1]} and repr(rows["a"]) == "[1]" and list(rows.items) == ["'a'"]
    with pytest.raises(KeyError, match="only the first ones"):
        rows["b"]
    with pytest.raises(AttributeError, match="not recorded whole"):
        _ = Value({"preview": "<open file>"}).value
    assert repr(Value({"preview": "secret", "redacted": True})) == "(hidden)"
    assert "\x1b" not in repr(Value({"preview": "\x1b]0;x\x07"}))


def test_kept_arrays_are_arrays_and_pickles_are_not_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(3))
    np.save(tmp_path / "b.npy", np.array([print], dtype=object), allow_pickle=True)
    name = "test_kept_arrays_are_arrays_and_pickles_are_not_loaded"
    frame = recorded(name, *({"name": n, "blob": n, "preview": "array(...)"} for n in "abc"))
    found = production(here(), frame, blobs={n: str(tmp_path / f"{n}.npy") for n in "abc"})
    assert found.a.tolist() == [0, 1, 2]
    assert repr(found.b) == repr(found.c) == "array(...)"


def test_locals_that_differ_and_columns_of_tables() -> None:
    def local(name: str, preview: str, **facts: Any) -> dict[str, Any]:
        return {"name": name, "type": "x", "preview": preview, **facts}

    material = {"name": "k", "top": {"oak": 2}}
    then, now = {"name": "n", "min": 1, "max": 5}, {"name": "n", "min": 1, "max": 6, "nulls": 1}
    there = [local("a", "1"), local("b", "2"), local("gone", "3"), local("s", "?", redacted=True)]
    there.append(local("t", "", shape=[2, 2], columns=[material, then]))
    ours = [local("a", "1"), local("b", "9"), local("s", "real"), local("new", "4")]
    ours.append(local("t", "", shape=[2, 2], columns=[material, now]))
    assert list(differing(there, ours)) == [
        ("b", "2", "9"),
        ("gone", "3", "-"),
        ("t['n']", "1 .. 5", "1 .. 6, 1 missing"),
        ("new", "-", "4"),
    ]


@pytest.mark.parametrize("name", ["frame", "locals", "where", "told", "value"])
def test_no_name_of_ours_hides_a_local(name: str) -> None:
    function = "test_no_name_of_ours_hides_a_local"
    found = production(here(), recorded(function, {"name": name, "preview": "the table"}))
    assert repr(getattr(found, name)) == "the table"
    assert found()["function"] == function
