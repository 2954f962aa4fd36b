from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import pytest

from dsenv.agent.capture.hook import failure

HERE = str(Path(__file__).parent)


def caught(function: Any, *args: Any) -> BaseException:
    try:
        function(*args)
    except BaseException as error:  # noqa: BLE001 - any failure is what this is about
        return error
    raise AssertionError("it did not fail")


def described(function: Any, *args: Any, brief: bool = False) -> dict[str, Any]:
    return failure.describe(caught(function, *args), HERE, brief)


class OddError(Exception):
    def __str__(self) -> str:
        raise ValueError


def test_frames_have_source_and_locals() -> None:
    def inner(count: int) -> None:
        text = "x" * 1000
        raise ValueError(f"{count} of {len(text)}")

    found = described(inner, 3)
    (error,) = found["exceptions"]
    assert (error["type"], error["message"], error["link"]) == ("ValueError", "3 of 1000", None)
    last = error["frames"][-1]
    assert last["function"].endswith("inner")
    assert last["source"][last["line"] - last["first_line"]].strip().startswith("raise ValueError")
    assert last["user"] is True
    values = {item["name"]: item for item in last["locals"]}
    assert values["count"] == {"name": "count", "type": "int", "preview": "3"}
    assert values["text"]["length"] == 1000 and len(values["text"]["preview"]) < 500


def test_a_compiled_library_is_not_the_users_although_its_name_is_relative(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile("def inner():\n    raise ValueError", "lib/properties.pyx", "exec"), names)
    (error,) = failure.describe(caught(names["inner"]), str(tmp_path))["exceptions"]
    assert error["frames"][-1]["user"] is False
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "properties.pyx").touch()
    (error,) = failure.describe(caught(names["inner"]), str(tmp_path))["exceptions"]
    assert error["frames"][-1]["user"] is True


def test_brief_leaves_locals_out() -> None:
    assert described(int, "x", brief=True)["exceptions"][0]["frames"][-1]["locals"] == []


def test_a_chain_that_never_ends_is_cut() -> None:
    error: BaseException = ValueError("0")
    first = error
    for number in range(50):
        following = ValueError(str(number + 1))
        error.__cause__ = following
        error = following
    error.__cause__ = first
    found = failure.describe(first, HERE)["exceptions"]
    assert len(found) == failure.CHAIN
    assert found[0]["link"] == "cause" and found[-1]["link"] is None


def test_suppressed_context_is_not_followed() -> None:
    def work() -> None:
        try:
            int("x")
        except ValueError:
            raise KeyError("k") from None

    assert [error["type"] for error in described(work)["exceptions"]] == ["KeyError"]


def test_groups_and_notes() -> None:
    error = ExceptionGroup("many", [ValueError("a"), OddError()])
    error.add_note("while loading")
    (found,) = failure.describe(error, HERE)["exceptions"]
    assert found["notes"] == ["while loading"]
    assert [member["type"] for member in found["members"]] == ["ValueError", f"{__name__}.OddError"]
    assert found["members"][1]["message"] == "<str raised ValueError>"


def test_deep_recursion_is_cut_in_the_middle() -> None:
    def down(n: int) -> None:
        down(n + 1)

    frames = described(down, 0)["exceptions"][0]["frames"]
    assert len(frames) == failure.FRAMES


def test_a_syntax_error_is_in_the_file_that_has_it(tmp_path: Path) -> None:
    file = tmp_path / "broken.py"
    file.write_text("a = 1\nb = = 2\n")
    error = caught(compile, file.read_text(), str(file), "exec")
    last = failure.describe(error, str(tmp_path))["exceptions"][0]["frames"][-1]
    assert (last["file"], last["line"], last["user"]) == (str(file), 2, True)
    assert last["source"][1] == "b = = 2"


class Broken:
    def __repr__(self) -> str:
        raise RuntimeError("no")


class Settings:
    def __init__(self) -> None:
        self.depth, self.name = 3, "deep"


@pytest.mark.parametrize(
    ("value", "preview"),
    [
        (None, "None"),
        (True, "True"),
        (3.5, "3.5"),
        (float("nan"), "nan"),
        (10**400, "<int of 1329 bits>"),
        ("it's", '"it\'s"'),
        (b"\x00", "b'\\x00'"),
        ([1, "a", None], "[1, 'a', None]"),
        ((1,), "(1,)"),
        (set(), "{}"),
        ({"a": {"b": 1}}, "{'a': {'b': 1}}"),
        (list(range(20)), "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ...]"),
        ([[[[[1]]]]], "[[[<list of 1>]]]"),
        (Broken(), "<repr raised RuntimeError>"),
    ],
)
def test_previews(value: object, preview: str) -> None:
    assert failure.local("x", value)["preview"] == preview


def test_what_is_in_containers_and_objects() -> None:
    found = failure.local("x", {"a": [1, 2], "b": Settings()})
    assert found["length"] == 2
    assert [item["name"] for item in found["items"]] == ["'a'", "'b'"]
    assert [item["preview"] for item in found["items"][0]["items"]] == ["1", "2"]
    fields = failure.local("x", Settings())["items"]
    assert [(item["name"], item["preview"]) for item in fields] == [("depth", "3"), ("name", "'deep'")]


def test_values_that_contain_themselves() -> None:
    value: list[Any] = [1]
    value.append(value)
    assert len(failure.local("x", value)["preview"]) < 500


class Hostile:
    @property
    def __dict__(self) -> Any:  # type: ignore[override]
        raise OSError


def test_looking_at_a_value_cannot_fail() -> None:
    assert failure.local("x", Hostile())["preview"]


class FakeSeries:
    """As much of a column as a profile asks for."""

    def __init__(self, values: list[Any], kind: str) -> None:
        self.values, self.name = values, "city"
        self.dtype = types.SimpleNamespace(kind=kind)

    def __len__(self) -> int:
        return len(self.values)

    def isna(self) -> Any:
        return types.SimpleNamespace(sum=lambda: sum(value is None for value in self.values))

    def nunique(self) -> int:
        return len(set(self.values))

    def min(self) -> Any:
        return types.SimpleNamespace(item=lambda: min(self.values))

    def max(self) -> Any:
        return types.SimpleNamespace(item=lambda: max(self.values))

    def value_counts(self) -> Any:
        counts = {value: self.values.count(value) for value in dict.fromkeys(self.values)}
        return type("Counts", (dict,), {"head": lambda self, n: dict(list(self.items())[:n])})(counts)


class FakeFrame:
    def __init__(self, columns: dict[str, FakeSeries]) -> None:
        self.columns = list(columns)
        self.shape = (3, len(columns))
        self._series = list(columns.values())
        self.iloc = self

    def __getitem__(self, key: tuple[slice, int]) -> FakeSeries:
        return self._series[key[1]]

    def head(self, rows: int) -> str:
        return f"first {rows}"


class FakeArray:
    def __init__(self) -> None:
        self.shape, self.dtype, self.size = (2, 3), "float64", 6

    def __repr__(self) -> str:
        return "array(...)"


def test_tables_and_arrays_are_profiled_through_the_modules_that_are_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    pandas = types.SimpleNamespace(DataFrame=FakeFrame, Series=FakeSeries)
    monkeypatch.setitem(sys.modules, "pandas", pandas)
    monkeypatch.setitem(sys.modules, "numpy", types.SimpleNamespace(ndarray=FakeArray))
    city, rows = FakeSeries(["Ulm", "Ulm", "Bonn"], "O"), FakeSeries([1, 5, 3], "i")
    found = failure.local("t", FakeFrame({"city": city, "rows": rows}))
    assert found["shape"] == [3, 2]
    assert found["columns"][0]["top"] == {"Ulm": 2, "Bonn": 1}
    assert {k: found["columns"][1][k] for k in ("min", "max", "unique", "nulls")} == {
        "min": 1, "max": 5, "unique": 3, "nulls": 0,
    }  # fmt: skip
    array = failure.local("a", FakeArray())
    assert (array["shape"], array["dtype"], array["preview"]) == ([2, 3], "float64", "array(...)")


def test_nothing_is_imported_to_look_at_a_value() -> None:
    before = set(sys.modules)
    failure.local("x", {"a": object(), "b": [1.5]})
    assert set(sys.modules) == before


@pytest.mark.parametrize(
    ("file", "user"),
    [
        (f"{HERE}/a.py", True),
        (f"{HERE}/.venv/lib/python3.11/site-packages/a.py", False),
        (f"{Path(types.__file__).parent}/json/decoder.py", False),
        ("/opt/jobs/other.py", True),
        ("<string>", True),
        ("<frozen runpy>", False),
    ],
)
def test_whose_code_it_is(file: str, user: bool) -> None:
    assert failure.is_user(file, HERE) is user


def test_sets_of_names_are_sorted() -> None:
    shown = failure.local("seen", {"class_3", "class_1", "class_2"}, 0)
    assert shown["preview"] == "{'class_1', 'class_2', 'class_3'}"
    assert failure.local("mixed", {1, "a"}, 0)["length"] == 2
