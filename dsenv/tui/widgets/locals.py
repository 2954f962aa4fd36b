"""Locals of a frame: production's, and beside them those of the reproduction."""

from __future__ import annotations

from typing import Any

from rich.text import Text
from textual.widgets import DataTable

from dsenv.agent import schema
from dsenv.wording import shorten


class LocalsTable(DataTable[Text]):
    """Name, value there, and value here once the run was reproduced; what differs stands out."""

    def __init__(self, *, id: str) -> None:  # noqa: A002 - textual's own name for it
        super().__init__(id=id, cursor_type="row", show_row_labels=False)
        self._content: object = None
        self._tables: list[str] = []  # for each row, the table that it is of

    def table_at(self, row: int) -> str:
        """The name of the table whose row that is; empty for any other value."""
        return self._tables[row] if 0 <= row < len(self._tables) else ""

    def show(self, frame: schema.FrameDetail | None, here: schema.FrameDetail | None) -> None:
        """Show a frame; `here` is its twin in the reproduction."""
        if self._content == (frame, here):
            return
        self._content = (frame, here)
        self.clear(columns=True)
        self._tables = []
        width = max(12, (self.app.size.width * 2 // 3 - 24 - (2 if here else 0)) // (2 if here else 1))
        for name in ("local", "production", "here") if here else ("local", "production"):
            self.add_column(name, width=16 if name == "local" else width)
        others = {local.get("name"): local for local in here.get("locals", [])} if here else {}
        for local in _ordered(frame.get("locals", []) if frame else []):
            other = others.get(local.get("name"))
            cells = [Text(shorten(local.get("name", ""), 16), style="bold"), Text(value(local, width))]
            if here:
                differs = other is None or _identity(local) != _identity(other)
                cells.append(Text(value(other, width) if other else "-", style="yellow" if differs else "dim"))
            self.add_row(*cells)
            self._tables.append(local.get("name", "") if local.get("columns") else "")
            self._add_columns(local, other, width, compare=here is not None)

    def _add_columns(self, local: schema.Local, other: schema.Local | None, width: int, *, compare: bool) -> None:
        """A row for each column of a table, with the same column here beside it."""
        twins = dict(columns(other)) if other else {}
        for name, text in columns(local):
            cells = [Text(f"  {shorten(name, 13)}", style="dim"), Text(shorten(text, width), style="dim")]
            if compare:
                there = twins.get(name, "-")
                cells.append(Text(shorten(there, width), style="dim" if there == text else "yellow"))
            self.add_row(*cells)
            self._tables.append(local.get("name", ""))


def _identity(local: schema.Local) -> tuple[Any, ...]:
    """What is compared of two values; of hidden ones, nothing is known."""
    if local.get("redacted"):
        return ()
    known: dict[str, Any] = dict(local)
    return tuple(known.get(fact) for fact in ("type", "preview", "length", "shape", "dtype"))


def value(local: schema.Local, width: int) -> str:
    """A value in one line: its shape first when it has one, because previews of tables say little."""
    if local.get("redacted"):
        return "(hidden)"
    shape = "x".join(map(str, local.get("shape", [])))
    kind = local.get("type", "").rpartition(".")[2]
    head = f"{kind} {shape} " if shape else ""
    return shorten(head + local.get("preview", ""), width)


def columns(local: schema.Local) -> list[tuple[str, str]]:
    """A line for each column of a data frame: its name, and what a person looks at first when data drifted."""
    return [(str(column.get("name", "")), profile(column)) for column in local.get("columns", [])]


def profile(column: dict[str, Any]) -> str:
    """Values with their counts for a category, the range for a number; missing values only where there are some."""
    nulls = f", {column['nulls']} missing" if column.get("nulls") else ""
    if isinstance(column.get("top"), dict):
        values = ", ".join(f"{value} {count}" for value, count in column["top"].items())
        more = column.get("unique", 0) - len(column["top"])
        return f"{values}{f', {more} other values' if more > 0 else ''}{nulls}"
    if "min" in column:
        return f"{column['min']} .. {column['max']}{nulls}"
    return f"{column.get('dtype', '')}{nulls}"


def _ordered(variables: list[schema.Local]) -> list[schema.Local]:
    """Tables last: a profile of many columns must not push the plain values out of sight."""
    return sorted(variables, key=lambda local: bool(local.get("columns")))
