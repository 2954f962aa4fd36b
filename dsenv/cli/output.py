"""The only owner of stdout. stdout is data: a command's result and nothing else."""

from __future__ import annotations

import dataclasses
import itertools
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from functools import cache
from pathlib import PurePath
from typing import Any

_TOGETHER = 200  # items of a list that are written at once


def plain(value: Any) -> Any:
    """A value as JSON types: dataclasses by field, paths and enums as text, bytes decoded."""
    if value is None or (isinstance(value, (str, int, float)) and not isinstance(value, Enum)):
        return value
    if hasattr(value, "to_json"):
        return plain(value.to_json())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, Enum):
        return value.value
    return str(value) if isinstance(value, PurePath) else value


def _opened(value: Any) -> Any:
    """A value as JSON types, its fields left as they are: the encoder asks again, and knows most of them by itself."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type) and not hasattr(value, "to_json"):
        return {name: getattr(value, name) for name in _names(type(value))}
    return plain(value)


@cache
def _names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind))


def write_json(value: Any) -> None:
    """The one JSON document of a command."""
    write(json.dumps(plain(value), indent=2))


def write_json_list(head: dict[str, Any], name: str, items: Iterable[Any], tail: Callable[[], dict[str, Any]]) -> None:
    """The one JSON document of a command, with a list that may be long: its items are written as they come.

    `head` comes before the list; `tail` is asked for what comes after it.
    """
    begin = "".join(f"  {json.dumps(key)}: {json.dumps(plain(value))},\n" for key, value in head.items())
    text = f"{{\n{begin}  {json.dumps(name)}: ["
    separator, encode = "\n", json.JSONEncoder(default=_opened).encode
    for number, item in enumerate(items, 1):
        text += f"{separator}    {encode(item)}"
        separator = ",\n"
        if number == 1 or number % _TOGETHER == 0:
            write_bytes(text.encode())
            text = ""
    end = "".join(f",\n  {json.dumps(key)}: {json.dumps(plain(value))}" for key, value in tail().items())
    write(f"{text}\n  ]{end}\n}}")


def write(text: str) -> None:
    """Text for people, one newline at its end. Odd file names must not stop it."""
    data = (text if text.endswith("\n") else text + "\n").encode("utf-8", "surrogateescape")
    write_bytes(data)


def write_bytes(data: bytes) -> None:
    """Bytes as they are: a command's own output."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def is_terminal() -> bool:
    """Whether stdout is a terminal."""
    return sys.stdout.isatty()


def table(head: Sequence[str], rows: Iterable[Sequence[str]], widths: list[int] | None = None) -> str:
    """Columns padded with spaces, as other Unix tools print them; no box to cut away.

    For a table that comes in parts, `widths` is a list that is kept for them: no column becomes narrower. Parts after
    the first have an empty head.
    """
    all_rows = [*([tuple(head)] if head else []), *(tuple(row) for row in rows)]
    found = [max(map(len, column)) for column in zip(*all_rows, strict=True)]
    if widths is not None:
        found = widths[:] = [max(pair) for pair in itertools.zip_longest(found, widths, fillvalue=0)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, found, strict=True)).rstrip() for row in all_rows
    )
