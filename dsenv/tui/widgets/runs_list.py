"""The failed runs as lines. Only those on the screen are rendered, so that ten thousand are as quick as ten."""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.events import Click, Resize
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from dsenv.runs.index import RunSummary
from dsenv.wording import ago, brief, reason, shorten

_STATUS, _WHEN, _GAP = 9, 11, 2
_STYLES = {"failed": "red", "lost": "yellow"}


class RunsList(ScrollView, can_focus=True):
    """Lines with a cursor. The first line of the content is the heading of the columns."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", show=False),
        Binding("up,k", "move(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("home", "edge(False)", show=False),
        Binding("end", "edge(True)", show=False),
        Binding("enter", "select", "Open"),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {"runs-list--cursor", "runs-list--heading"}
    DEFAULT_CSS = """
    RunsList { overflow-x: hidden; }
    RunsList > .runs-list--cursor { background: $primary 40%; text-style: bold; }
    RunsList > .runs-list--heading { text-style: bold; }
    """

    cursor: reactive[int] = reactive(0)

    class Selected(Message):
        """The user wants to open a run."""

        def __init__(self, run: RunSummary) -> None:
            super().__init__()
            self.run = run

    def __init__(self, *, id: str) -> None:  # noqa: A002 - textual's own name for it
        super().__init__(id=id)
        self.runs: tuple[RunSummary, ...] = ()

    def show(self, runs: tuple[RunSummary, ...]) -> None:
        """Show these runs. The cursor stays on the run that it was on, if that is still there."""
        if runs is self.runs:
            return
        chosen = self.runs[self.cursor].id if self.cursor < len(self.runs) else None
        same = self.cursor < len(runs) and runs[self.cursor].id == chosen
        self.runs = runs
        if not same:
            self.cursor = next((number for number, run in enumerate(runs) if run.id == chosen), 0)
        self._resize()

    def on_resize(self, event: Resize) -> None:
        self._resize()

    def _resize(self) -> None:
        self.virtual_size = Size(self.size.width, len(self.runs) + 1)
        self._to_cursor()
        self.refresh()

    def watch_cursor(self) -> None:
        self._to_cursor()
        self.refresh()

    def _to_cursor(self) -> None:
        """Scroll so that the cursor's line is seen below the heading, which stays."""
        self.scroll_to_region(Region(0, self.cursor, 1, 2), animate=False, force=True)

    def action_move(self, lines: int) -> None:
        self.cursor = max(0, min(len(self.runs) - 1, self.cursor + lines))

    def action_page(self, direction: int) -> None:
        self.action_move(direction * max(1, self.size.height - 2))

    def action_edge(self, end: bool) -> None:
        self.cursor = max(0, len(self.runs) - 1) if end else 0

    def action_select(self) -> None:
        if self.cursor < len(self.runs):
            self.post_message(self.Selected(self.runs[self.cursor]))

    def on_click(self, event: Click) -> None:
        line = event.y - 1 + self.scroll_offset.y
        if event.y and line < len(self.runs):
            if line == self.cursor:
                self.action_select()
            self.cursor = line

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if y == 0:
            heading = ("status", "when", "why", "command")
            return self._strip(
                [Text(word) for word in heading], width, self.get_component_rich_style("runs-list--heading")
            )
        number = self.scroll_offset.y + y - 1
        if number >= len(self.runs):
            return Strip.blank(width, self.rich_style)
        chosen = number == self.cursor
        style = self.get_component_rich_style("runs-list--cursor") if chosen else self.rich_style
        return self._strip(self._cells(self.runs[number]), width, style)

    def _cells(self, run: RunSummary) -> list[Text]:
        left = max(20, self.size.width - _STATUS - _WHEN - 2 * _GAP - 2)
        return [
            Text(run.status, style=_STYLES.get(run.status, "")),
            Text(ago(run.started), style="dim"),
            Text(shorten(reason(run), left * 3 // 5)),
            Text(brief(run.command, left - left * 3 // 5), style="dim"),
        ]

    def _strip(self, cells: list[Text], width: int, style: Style) -> Strip:
        left = max(20, width - _STATUS - _WHEN - 2 * _GAP - 2)
        widths = (_STATUS, _WHEN, left * 3 // 5 + _GAP, left - left * 3 // 5)
        segments = [Segment(" ")]
        for cell, columns in zip(cells, widths, strict=True):
            text = cell.plain + " " * max(0, columns - cell.cell_len)
            segments.append(Segment(text, Style.parse(str(cell.style)) if cell.style else None))
        return Strip(segments).adjust_cell_length(width).apply_style(style)
