"""Locals of a frame: production's, and beside them those of the reproduction."""

from __future__ import annotations

from rich.text import Text
from textual.widgets import DataTable

from dsenv.agent import schema
from dsenv.wording import shorten


class LocalsTable(DataTable[Text]):
    """Name, value there, and value here once the run was reproduced; what differs stands out."""

    def __init__(self, *, id: str) -> None:  # noqa: A002 - textual's own name for it
        super().__init__(id=id, cursor_type="row", show_row_labels=False)
        self._content: object = None

    def show(self, frame: schema.FrameDetail | None, here: schema.FrameDetail | None) -> None:
        """Show a frame; `here` is its twin in the reproduction."""
        if self._content == (frame, here):
            return
        self._content = (frame, here)
        self.clear(columns=True)
        width = max(12, (self.app.size.width * 3 // 5 - 24 - (2 if here else 0)) // (2 if here else 1))
        for name in ("local", "production", "here") if here else ("local", "production"):
            self.add_column(name, width=16 if name == "local" else width)
        others = {local.get("name"): local for local in here.get("locals", [])} if here else {}
        for local in frame.get("locals", []) if frame else []:
            other = others.get(local.get("name"))
            cells = [Text(shorten(local.get("name", ""), 16), style="bold"), Text(value(local, width))]
            if here:
                differs = other is None or other.get("preview") != local.get("preview")
                cells.append(Text(value(other, width) if other else "-", style="yellow" if differs else "dim"))
            self.add_row(*cells)
            for line in columns(local):
                self.add_row(Text(f"  {shorten(line[0], 13)}", style="dim"), Text(shorten(line[1], width), style="dim"))


def value(local: schema.Local, width: int) -> str:
    """A value in one line: its shape first when it has one, because previews of tables say little."""
    if local.get("redacted"):
        return "(hidden)"
    shape = "x".join(map(str, local.get("shape", [])))
    kind = local.get("type", "")
    head = f"{kind} {shape} " if shape else ""
    return shorten(head + local.get("preview", ""), width)


def columns(local: schema.Local) -> list[tuple[str, str]]:
    """A line for each column of a data frame: name and profile."""
    return [
        (str(c.get("name", "")), ", ".join(f"{k} {v}" for k, v in c.items() if k != "name"))
        for c in local.get("columns", [])
    ]
