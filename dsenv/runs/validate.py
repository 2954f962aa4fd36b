"""Checks that JSON from a record has the shape that `dsenv.agent.schema` declares.

Records come from machines we do not control, so nothing is used before it was checked here. Unknown fields are
kept: a newer agent may add some without raising the format.
"""

from __future__ import annotations

import json
import types
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints, is_typeddict

from dsenv.errors import RecordError

_MAX_DEPTH = 60


def parse(data: bytes, shape: Any, where: str) -> Any:
    """JSON bytes as a value of `shape`, a TypedDict of the schema. Raises RecordError naming the field."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{where} is not JSON: {error}", hint="the record is truncated or was changed") from error
    check(value, shape, where)
    return value


def check(value: Any, shape: Any, where: str, depth: int = 0) -> None:
    """Raise RecordError unless `value` has `shape`."""
    if depth > _MAX_DEPTH:
        raise RecordError(f"{where}: nested more than {_MAX_DEPTH} levels deep")
    origin = get_origin(shape)
    if shape is Any:
        return
    if is_typeddict(shape):
        _check_object(value, shape, where, depth)
    elif origin in (Union, types.UnionType):
        options = get_args(shape)
        if value is None and type(None) in options:
            return
        check(value, next(option for option in options if option is not type(None)), where, depth)
    elif origin in (list, dict):
        _check_items(value, shape, where, depth)
    elif shape is float:
        _expect(value, (int, float), where)
    else:
        _expect(value, shape, where)


@cache
def _hints(shape: Any) -> dict[str, Any]:
    return get_type_hints(shape)


def _check_object(value: Any, shape: Any, where: str, depth: int) -> None:
    _expect(value, dict, where)
    hints = _hints(shape)
    missing = sorted(shape.__required_keys__ - value.keys())
    if missing:
        raise RecordError(f"{where}: {missing[0]} is missing", hint="the record is truncated or was changed")
    for key, hint in hints.items():
        if key in value:
            check(value[key], hint, f"{where}.{key}", depth + 1)


def _check_items(value: Any, shape: Any, where: str, depth: int) -> None:
    _expect(value, get_origin(shape), where)
    inner = get_args(shape)[-1]
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        check(item, inner, f"{where}[{key!r}]", depth + 1)


def _expect(value: Any, kind: type | tuple[type, ...], where: str) -> None:
    """`bool` is an `int` to Python, but not to us."""
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        wanted = kind.__name__ if isinstance(kind, type) else " or ".join(k.__name__ for k in kind)
        found = type(value).__name__
        raise RecordError(f"{where}: expected {wanted}, found {found}", hint="the record is truncated or was changed")
