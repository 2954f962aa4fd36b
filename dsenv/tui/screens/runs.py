"""The failed runs, with a filter."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Footer, Input, Static

from dsenv.tui import model
from dsenv.tui.widgets.runs_list import RunsList
from dsenv.wording import count, printable

if TYPE_CHECKING:
    from dsenv.tui.app import DsenvApp


class RunsScreen(Screen[None]):
    """Failed runs, newest first; typing filters them."""

    ready = False

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter"),
        Binding("f5", "refresh", "Refresh"),
        Binding("escape", "back", "Clear filter", show=False),
        Binding("down", "to_list", show=False),
        Binding("q", "app.leave", "Quit"),
    ]

    def compose(self) -> ComposeResult:
        yield Static("", id="heading")
        yield Input(placeholder="type / to filter by any word: id, command, error, project", id="filter", compact=True)
        yield RunsList(id="runs")
        yield Static("", id="problem")
        yield Footer()

    def on_mount(self) -> None:
        self._list.focus()
        self.ready = True
        self.render_state(self._owner.state)

    @property
    def _owner(self) -> DsenvApp:
        return cast("DsenvApp", self.app)

    @property
    def _list(self) -> RunsList:
        return self.query_one(RunsList)

    def render_state(self, state: model.State) -> None:
        """Show the list of a state."""
        shown = state.shown
        self.query_one("#heading", Static).update(_heading(state, len(shown)))
        problem = self.query_one("#problem", Static)
        problem.display = state.problem is not None
        if state.problem:
            problem.update(Text(_problem_text(state.problem)))
        self._list.show(shown)

    def on_runs_list_selected(self, event: RunsList.Selected) -> None:
        self._owner.open_run(event.run.id)

    def on_input_changed(self, event: Input.Changed) -> None:
        self._owner.update(model.Filtered(event.value))

    def on_input_submitted(self) -> None:
        self._list.focus()

    def action_filter(self) -> None:
        self.query_one("#filter", Input).focus()

    def action_to_list(self) -> None:
        self._list.focus()

    def action_refresh(self) -> None:
        self._owner.list_runs()

    def action_back(self) -> None:
        self.query_one("#filter", Input).value = ""
        self._list.focus()


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
