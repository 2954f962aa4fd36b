"""Writes the TOML that dsenv writes: values on one line, lists of tables one table a line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def value(item: Any) -> str:
    """One TOML value: text, whole number, truth value, list, or inline table."""
    if isinstance(item, bool):
        return "true" if item else "false"
    if isinstance(item, int):
        return str(item)
    if isinstance(item, str):
        # A JSON string is a TOML basic string but for DEL, which JSON leaves bare.
        return json.dumps(item, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(item, Mapping):
        return "{ " + ", ".join(f"{key} = {value(entry)}" for key, entry in item.items()) + " }"
    if item and isinstance(item[0], Mapping):
        return "[\n" + "".join(f"    {value(entry)},\n" for entry in item) + "]"
    return "[" + ", ".join(value(entry) for entry in item) + "]"
