"""The columns of a data frame: production's profile of each, and the one here beside it."""

from __future__ import annotations

from typing import Any

from rich.text import Text
from textual.widgets import DataTable

from dsenv.agent import schema
from dsenv.wording import count, shorten

_FACTS = ("dtype", "nulls", "unique", "min", "max", "top")
_WIDEST = {"column": 20, "top": 60}
_WIDE = 19  # a time to the second
_NOTHING = "-"


class ProfileTable(DataTable[Text]):
    """A row for each column; with a reproduction, a second row below it where that differs."""

    def __init__(self, *, id: str) -> None:  # noqa: A002 - textual's own name for it
        super().__init__(id=id, cursor_type="row", show_row_labels=False, fixed_columns=1)
        self._content: object = None

    def show(self, there: schema.Local, here: schema.Local | None) -> None:
        """Show a table; `here` is the same local in the reproduction."""
        if self._content == (there, here):
            return
        self._content = (there, here)
        self.clear(columns=True)
        for name in ("column", *(("",) if here else ()), *_FACTS):
            self.add_column(name)
        twins = {str(column.get("name")): column for column in here.get("columns", [])} if here else {}
        for column in there.get("columns", []):
            name = str(column.get("name", ""))
            twin = twins.pop(name, None)
            if here is None:
                self._add([name], column, column)
                continue
            self._add([name, "there"], column, twin)
            if twin != column:
                self._add(["", "here"], twin, column)
        for name, column in twins.items():
            self._add([name, "here"], column, None)

    def _add(self, names: list[str], column: dict[str, Any] | None, other: dict[str, Any] | None) -> None:
        cells = [Text(shorten(name, _WIDEST["column"]), style="dim" if index else "bold")
                 for index, name in enumerate(names)]  # fmt: skip
        for fact in _FACTS:
            text, against = _shown(column, fact), _shown(other, fact)
            cells.append(Text(shorten(text, _WIDEST.get(fact, _WIDE)), style="" if text == against else "yellow"))
        self.add_row(*cells)


def _shown(column: dict[str, Any] | None, fact: str) -> str:
    value = (column or {}).get(fact)
    if value is None:
        return _NOTHING
    if isinstance(value, dict):
        return ", ".join(f"{name} {number}" for name, number in value.items())
    return str(value)


def profile_title(there: schema.Local, here: schema.Local | None) -> Text:
    """The name of a table, its kind and its size, there and here."""
    shapes = [_shape(there)] + ([_shape(here)] if here and _shape(here) != _shape(there) else [])
    sizes = f"{shapes[0]} there, {shapes[1]} here" if len(shapes) > 1 else shapes[0]
    known = count(len(there.get("columns", [])), "column")
    return Text.assemble((there.get("name", ""), "bold"), f"  {sizes}, {known}", ("  esc to leave it", "dim"))


def _shape(local: schema.Local) -> str:
    return " x ".join(map(str, local.get("shape", [])))
