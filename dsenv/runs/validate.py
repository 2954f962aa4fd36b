"""Checks that JSON from a record has the shape that `dsenv.agent.schema` declares.

Records come from machines we do not control, so nothing is used before it was checked here. Unknown fields are
kept: a newer agent may add some without raising the format.
"""

from __future__ import annotations

import json
import types
from collections.abc import Callable
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints, is_typeddict

from dsenv.errors import RecordError

_MAX_DEPTH = 60
# Values take many times the memory of their text: a small file could fill the machine.
_MAX_VALUES = 4_000_000
_LOOKED_AT = 1 << 20
_HINT = "the record is truncated or was changed"

_KINDS: dict[Any, tuple[type, ...]] = {str: (str,), int: (int,), bool: (bool,), float: (int, float)}

# Checks one value at a depth. Made once for a shape: lists of a million entries are checked one by one.
_Check = Callable[[Any, int], None]


class _Mismatch(Exception):  # noqa: N818 - never leaves this module
    """What is wrong, and where: the steps that lead there are added as it passes them, the last first."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.steps: list[str] = []


def parse(data: bytes, shape: Any, where: str) -> Any:
    """JSON bytes as a value of `shape`, a TypedDict of the schema. Raises RecordError naming the field."""
    if len(data) > _LOOKED_AT and sum(map(data.count, (b"[", b"{", b","))) > _MAX_VALUES:
        raise RecordError(f"{where} holds more than {_MAX_VALUES:,} values", hint=_HINT)
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{where} is not JSON: {error}", hint=_HINT) from error
    check(value, shape, where)
    return value


def check(value: Any, shape: Any, where: str) -> None:
    """Raise RecordError unless `value` has `shape`."""
    try:
        _checker(shape)(value, 0)
    except _Mismatch as error:
        place = where + "".join(reversed(error.steps))
        raise RecordError(f"{place}: {error}", hint=_HINT) from None


@cache
def _checker(shape: Any) -> _Check:
    origin = get_origin(shape)
    if shape is Any:
        return lambda value, depth: None
    if is_typeddict(shape):
        return lambda value, depth: _check_object(value, shape, depth)
    if origin in (Union, types.UnionType):
        option = next(option for option in get_args(shape) if option is not type(None))
        if option in _KINDS:
            return _kind_check(_KINDS[option], optional=True)
        inner = _checker(option)
        return lambda value, depth: None if value is None else inner(value, depth)
    if origin in (list, dict):
        item = get_args(shape)[-1]
        return lambda value, depth: _check_items(value, origin, item, depth)
    return _kind_check(_KINDS.get(shape, (shape,)))


def _kind_check(kinds: tuple[type, ...], *, optional: bool = False) -> _Check:
    """Exactly one of the kinds: `bool` is an `int` to Python, but not to us."""
    allowed = (*kinds, type(None)) if optional else kinds

    def check_kind(value: Any, depth: int) -> None:
        if type(value) not in allowed:
            raise _Mismatch(f"expected {' or '.join(kind.__name__ for kind in kinds)}, found {type(value).__name__}")

    return check_kind


_is_object, _is_list = _kind_check((dict,)), _kind_check((list,))


@cache
def _fields(shape: Any) -> dict[str, _Check]:
    return {name: _checker(hint) for name, hint in get_type_hints(shape).items()}


def _check_object(value: Any, shape: Any, depth: int) -> None:
    _is_object(value, depth)
    if depth > _MAX_DEPTH:
        raise _Mismatch(f"nested more than {_MAX_DEPTH} levels deep")
    missing = shape.__required_keys__ - value.keys()
    if missing:
        raise _Mismatch(f"{min(missing)} is missing")
    for name, checked in _fields(shape).items():
        if name in value:
            try:
                checked(value[name], depth + 1)
            except _Mismatch as error:
                error.steps.append(f".{name}")
                raise


def _check_items(value: Any, kind: type, item: Any, depth: int) -> None:
    (_is_object if kind is dict else _is_list)(value, depth)
    checked = _checker(item)
    for key, held in value.items() if kind is dict else enumerate(value):
        try:
            checked(held, depth + 1)
        except _Mismatch as error:
            error.steps.append(f"[{key!r}]")
            raise
