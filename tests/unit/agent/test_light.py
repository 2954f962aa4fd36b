"""What stands for parts of the standard library that take long to load does what they do."""

from __future__ import annotations

import copy
import json
import math
import pickle
import typing
from typing import Any

import pytest

from dsenv.agent import jsontext, light


class Light(light.NamedTuple):
    name: str
    size: int = 3
    parts: tuple[int, ...] = ()

    @property
    def twice(self) -> int:
        """Of the size."""
        return self.size * 2


class Full(typing.NamedTuple):
    name: str
    size: int = 3
    parts: tuple[int, ...] = ()


@pytest.mark.parametrize(
    ("values", "named"),
    [
        (("a",), {}),
        (("a", 5), {}),
        (("a", 5, (1,)), {}),
        ((), {"name": "a", "parts": (2,)}),
        (("a",), {"parts": (2,)}),
        ((), {"parts": (2,), "size": 1, "name": "a"}),
    ],
)
def test_a_light_tuple_is_made_as_a_full_one(values: tuple[Any, ...], named: dict[str, Any]) -> None:
    made, full = Light(*values, **named), Full(*values, **named)
    assert made == tuple(full)
    assert (made.name, made.size, made.parts, made.twice) == (full.name, full.size, full.parts, full.size * 2)
    assert repr(made) == repr(full).replace("Full", "Light")
    assert pickle.loads(pickle.dumps(made)) == made
    assert type(copy.deepcopy(made)) is Light
    assert made._fields == full._fields


@pytest.mark.parametrize(
    ("values", "named"),
    [((), {}), (("a", 1, (), 4), {}), (("a",), {"name": "b"}), (("a",), {"other": 1}), ((), {"size": 1})],
)
def test_a_light_tuple_refuses_what_a_full_one_refuses(values: tuple[Any, ...], named: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        Full(*values, **named)
    with pytest.raises(TypeError, match="Light has"):
        Light(*values, **named)


def test_a_light_tuple_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Light("a").name = "b"  # type: ignore[misc]


VALUES: list[Any] = [
    *(None, True, False, 0, -7, 1 << 80, 1.5, 1e300, float("inf"), "", "text", 'a"\\\n\t\x00', "ü€😀", "\ud800"),
    *([], {}, [1, [2, {"a": None}]], {"b": 1, "a": [True, "x"]}, {1: 2, None: 3}, ("a", Light("b"))),
]


@pytest.mark.parametrize("without", [False, True], ids=["in C", "by the package"])
@pytest.mark.parametrize("value", VALUES, ids=ascii)
def test_json_is_that_of_the_package(value: Any, without: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if without:
        monkeypatch.setattr(jsontext, "_c", None)
        monkeypatch.setattr(jsontext, "_scan", None)
    assert jsontext.dumps(value).decode() == json.dumps(value)
    text = json.dumps(value, indent=1)
    assert jsontext.loads(b" " + text.encode() + b"\n") == json.loads(text)
    if isinstance(value, dict) and None not in value:
        assert jsontext.dumps(value, sort_keys=True).decode() == json.dumps(value, sort_keys=True)


def test_numbers_that_json_has_not() -> None:
    assert math.isnan(jsontext.loads(b"NaN"))
    assert jsontext.loads(b"[-Infinity]") == [-math.inf]


@pytest.mark.parametrize("data", [b"", b" ", b"{", b"[1] 2", b'{"a": }', b"nul", b'"a\n"', b"\xff", b"'a'"])
def test_what_is_no_json_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        jsontext.loads(data)


def test_what_json_has_not_is_refused() -> None:
    with pytest.raises(TypeError, match="set"):
        jsontext.dumps([{1}])
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ValueError, match="Circular"):
        jsontext.dumps(endless)
