"""What the command wrote: production's output, the reproduction's, or what is coming in now.

Only the lines on the screen are read and rendered, so that a gigabyte scrolls as a page does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.events import Resize
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from dsenv.errors import DsenvError
from dsenv.runs.output import Line, OutputLines
from dsenv.runs.record import OutputChunk
from dsenv.tui.model import State
from dsenv.wording import count, printable, size

_BOLD, _ERROR, _PLAIN = Style(bold=True), Style(color="red"), Style()
_WIDEST = 10_000  # columns that can be scrolled to
_TABS = 8


class _Part:
    """A heading, and lines below it: all of a log, or what is in memory."""

    def __init__(self, heading: str, lines: OutputLines | Sequence[Line]) -> None:
        self.heading = heading
        self._lines = lines
        self.count = lines.count if isinstance(lines, OutputLines) else len(lines)

    def line(self, number: int) -> tuple[str, Style]:
        if isinstance(self._lines, OutputLines):
            try:
                found = self._lines.lines(number, 1)
            except DsenvError as error:
                return error.message, _ERROR
        else:
            found = list(self._lines[number : number + 1])
        stream, data = found[0] if found else (1, b"")
        text = data[: _WIDEST * 4].decode("utf-8", "replace").rpartition("\r")[2]
        return printable(text.expandtabs(_TABS)), _ERROR if stream == 2 else _PLAIN


class OutputView(ScrollView, can_focus=True):
    """The output, its end first, in the order in which it was written."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("g,home", "scroll_home", show=False),
        Binding("G,end", "scroll_end", show=False),
    ]

    def __init__(self, *, id: str) -> None:  # noqa: A002 - textual's own name for it
        super().__init__(id=id)
        self._content: object = None
        self._parts: list[_Part] = []
        self._width = 0  # of the longest line that was seen

    def show(self, state: State) -> None:
        """Show the output of the state; its end, unless the reader has scrolled away from it."""
        live = state.work.output if state.work and state.work.kind != "load" else None
        key = (id(state.details), id(state.reproduction), state.lines is not None, live)
        if key == self._content or state.details is None:
            return
        at_end = self._content is None or self.scroll_offset.y >= self.max_scroll_y
        self._content = key
        self._parts = [_Part("running now", _lines_of(1, live))] if live is not None else _recorded(state)
        self._width = 0
        self._measure()
        self.refresh()
        if at_end:
            self.scroll_end(animate=False, force=True)

    def on_resize(self, event: Resize) -> None:
        self._measure()

    def _measure(self) -> None:
        lines = sum(part.count + 1 for part in self._parts)
        self.virtual_size = Size(self._width, lines)

    def render_line(self, y: int) -> Strip:
        left, top = self.scroll_offset
        number, width = top + y, self.size.width
        text, style = "", _PLAIN
        for part in self._parts:
            if number <= part.count:
                text, style = (part.heading, _BOLD) if number == 0 else part.line(number - 1)
                break
            number -= part.count + 1
        strip = Strip([Segment(text, style)])
        if strip.cell_length > self._width:
            self._width = min(_WIDEST, strip.cell_length)
            self.call_later(self._measure)
        return strip.crop(left, left + width).adjust_cell_length(width).apply_style(self.rich_style)


def _recorded(state: State) -> list[_Part]:
    details = state.details
    assert details is not None
    if state.lines is not None:
        heading = f"production ({size(details.output_bytes)}, {count(state.lines.count, 'line')})"
        parts = [_Part(heading, state.lines)]
    else:
        shown = sum(len(chunk.data) for chunk in details.output)
        cut = f", the last {size(shown)}" if shown < details.output_bytes else ""
        parts = [_Part(f"production ({size(details.output_bytes)}{cut})", _of_chunks(details.output))]
    if state.reproduction and state.reproduction.output:
        parts.append(_Part("reproduction", _of_chunks(state.reproduction.output)))
    return parts


def _of_chunks(chunks: Sequence[OutputChunk]) -> list[Line]:
    return [line for chunk in chunks for line in _lines_of(1 if chunk.stream == "stdout" else 2, chunk.data)]


def _lines_of(stream: int, data: bytes) -> list[Line]:
    return [(stream, line) for line in data.removesuffix(b"\n").split(b"\n")] if data else []
