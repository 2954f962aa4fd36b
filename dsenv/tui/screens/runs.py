"""The failed runs, with a filter."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import DataTable, Footer, Input, Static

from dsenv.tui import model
from dsenv.wording import ago, brief, count, printable, reason, shorten

if TYPE_CHECKING:
    from dsenv.runs.index import RunSummary
    from dsenv.tui.app import DsenvApp

_BATCH = 300


class RunsScreen(Screen[None]):
    """Failed runs, newest first; typing filters them."""

    ready = False

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter"),
        Binding("enter", "open", "Open", show=True),
        Binding("f5", "refresh", "Refresh"),
        Binding("escape", "back", "Clear filter", show=False),
        Binding("down", "to_table", show=False),
        Binding("q", "app.leave", "Quit"),
    ]

    def compose(self) -> ComposeResult:
        yield Static("", id="heading")
        yield Input(placeholder="type / to filter by any word: id, command, error, project", id="filter", compact=True)
        yield DataTable[Text](id="runs", cursor_type="row", zebra_stripes=False)
        yield Static("", id="problem")
        yield Footer()

    def on_mount(self) -> None:
        table = self._table
        for label, width in zip(("status", "when", "why", "command"), self._widths(), strict=True):
            table.add_column(label, width=width, key=label)
        table.focus()
        self._shown: tuple[RunSummary, ...] | None = None
        self._waiting: tuple[RunSummary, ...] = ()
        self.ready = True
        self.render_state(self._owner.state)

    @property
    def _owner(self) -> DsenvApp:
        return cast("DsenvApp", self.app)

    @property
    def _table(self) -> DataTable[Text]:
        return cast("DataTable[Text]", self.query_one("#runs", DataTable))

    def _widths(self) -> tuple[int, int, int, int]:
        """Columns that fill the terminal: two for each cell's padding, two for the scroll bar."""
        left = max(40, self.app.size.width - 9 - 10 - 8 - 2)
        return (9, 10, left * 3 // 5, left - left * 3 // 5)

    def render_state(self, state: model.State) -> None:
        """Show the list of a state; the rows are rebuilt only when they changed."""
        shown = state.shown
        self.query_one("#heading", Static).update(_heading(state, len(shown)))
        problem = self.query_one("#problem", Static)
        problem.display = state.problem is not None
        if state.problem:
            problem.update(Text(_problem_text(state.problem)))
        if shown == self._shown:
            return
        grown = self._shown is not None and shown[: len(self._shown)] == self._shown
        if not grown:
            self._table.clear()
        filling = bool(self._waiting)
        self._waiting = shown[self._table.row_count :]
        self._shown = shown
        if not filling:
            self._fill()

    def _fill(self) -> None:
        """Add rows a batch at a time, so that keys are answered while thousands come in."""
        batch, self._waiting = self._waiting[:_BATCH], self._waiting[_BATCH:]
        widths = self._widths()
        for run in batch:
            self._table.add_row(*_cells(run, widths), key=run.id)
        if self._waiting:
            self.set_timer(0.01, self._fill)

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        if event.row_key.value:
            self._owner.open_run(event.row_key.value)

    def on_input_changed(self, event: Input.Changed) -> None:
        self._owner.update(model.Filtered(event.value))

    def on_input_submitted(self) -> None:
        self._table.focus()

    def action_filter(self) -> None:
        self.query_one("#filter", Input).focus()

    def action_to_table(self) -> None:
        self._table.focus()

    def action_open(self) -> None:
        self._table.action_select_cursor()

    def action_refresh(self) -> None:
        self._owner.list_runs()

    def action_back(self) -> None:
        self.query_one("#filter", Input).value = ""
        self._table.focus()


def _heading(state: model.State, shown: int) -> Text:
    if not state.loaded:
        text = f"{model.WORK_TITLES['load']} …" if state.work else "reading the store …"
        return Text(text, style="dim")
    if not state.runs:
        return Text(f"no failed runs in {state.store}", style="bold")
    total = count(len(state.runs), "failed run") + (" and more" if state.more else "")
    shown_of = f"{shown} of " if state.filter else ""
    return Text.assemble((shown_of + total, "bold"), (f"  {state.store}", "dim"))


def _problem_text(problem: model.Problem) -> str:
    return printable(problem.message + (f"\nnext: {problem.hint}" if problem.hint else ""))


def _cells(run: RunSummary, widths: tuple[int, int, int, int]) -> tuple[Text, ...]:
    style = {"failed": "red", "lost": "yellow"}.get(run.status, "")
    return (
        Text(run.status, style=style),
        Text(ago(run.started), style="dim"),
        Text(shorten(reason(run), widths[2])),
        Text(brief(run.command, widths[3]), style="dim"),
    )
