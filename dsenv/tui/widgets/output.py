"""What the command wrote: production's output, the reproduction's, or what is coming in now."""

from __future__ import annotations

from rich.text import Text
from textual.widgets import RichLog

from dsenv.tui.model import State
from dsenv.wording import printable, size

_LINES = 2000


class OutputView(RichLog):
    """The end of the output, in the order in which it was written."""

    def __init__(self, *, id: str) -> None:  # noqa: A002 - textual's own name for it
        super().__init__(id=id, wrap=True, max_lines=_LINES * 2 + 10)
        self._content: object = None

    def show(self, state: State) -> None:
        """Show the output of the state; it is written anew only when it changed."""
        live = state.work.output if state.work and state.work.kind != "load" else None
        key = (id(state.details), id(state.reproduction), live)
        if key == self._content or state.details is None:
            return
        self._content = key
        self.clear()
        if live is not None:
            self.write(Text("running now", style="bold"))
            self._lines(live)
            return
        total, shown = state.details.output_bytes, sum(len(c.data) for c in state.details.output)
        cut = f", the last {size(shown)}" if shown < total else ""
        self.write(Text(f"production ({size(total)}{cut})", style="bold"))
        for chunk in state.details.output:
            self._lines(chunk.data, "red" if chunk.stream == "stderr" else "")
        if state.reproduction and state.reproduction.output:
            self.write(Text("\nreproduction", style="bold"))
            for chunk in state.reproduction.output:
                self._lines(chunk.data, "red" if chunk.stream == "stderr" else "")

    def _lines(self, data: bytes, style: str = "") -> None:
        for line in data.decode("utf-8", "replace").splitlines()[-_LINES:]:
            self.write(Text(printable(line), style=style))
