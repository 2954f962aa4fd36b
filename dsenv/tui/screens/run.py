"""One run: why it failed, and what came of reproducing it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.events import Resize
from textual.screen import Screen
from textual.widgets import DataTable, Footer, OptionList, Static, TabbedContent, TabPane

from dsenv.tui import model
from dsenv.tui.widgets import facts, traceback
from dsenv.tui.widgets.locals import LocalsTable
from dsenv.tui.widgets.output import OutputView
from dsenv.tui.widgets.profile import ProfileTable, profile_title
from dsenv.wording import command, failure, out_of_memory, printable, shorten, signature, verdict

if TYPE_CHECKING:
    from dsenv.tui.app import DsenvApp

_SMALL = 16  # lines
_VERDICT_STYLE = {
    "same-failure": "bold green",
    "different-failure": "bold yellow",
    "passed": "bold cyan",
    "cannot-reproduce": "bold red",
}


class RunScreen(Screen[None]):
    """Traceback, source and locals; output, inputs, differences; and the keys to act on them."""

    ready = False

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "reproduce", "Reproduce"),
        Binding("w", "working_tree", "Fixed?"),
        Binding("p", "debug", "pdb"),
        Binding("t", "save_test", "Test"),
        Binding("e", "edit", "Edit"),
        Binding("a", "all_frames", "Frames"),
        Binding("c", "cancel", "Cancel", show=False),
        Binding("escape", "back", "Back"),
        Binding("q", "app.leave", "Quit"),
        *(Binding(str(n), f"tab('{name}')", show=False) for n, name in enumerate(facts.TABS, 1)),
    ]

    def compose(self) -> ComposeResult:
        yield Static("", id="title")
        yield Static("", id="verdict")
        with TabbedContent(id="tabs"):
            with TabPane("1 Failure", id="failure"), Horizontal():
                yield OptionList(id="frames", markup=False)
                with Vertical():
                    yield Static("", id="source")
                    yield LocalsTable(id="locals")
                    yield Static("", id="table-title")
                    yield ProfileTable(id="table")
            with TabPane("2 Output", id="output"):
                yield OutputView(id="text")
            with TabPane("3 Inputs", id="inputs"):
                yield facts.Page(id="inputs-page")
            with TabPane("4 Differences", id="differences"):
                yield facts.Page(id="differences-page")
            with TabPane("5 Record", id="record"):
                yield facts.Page(id="record-page")
        yield Static("", id="work")
        yield Footer()

    def on_mount(self) -> None:
        self._rows: tuple[model.FrameRow, ...] | None = None
        self.ready = True
        self.query_one("#frames", OptionList).focus()
        self.render_state(self._owner.state)

    def on_resize(self, event: Resize) -> None:
        """In a small terminal the line that failed matters more than the locals."""
        self.set_class(event.size.height < _SMALL, "small")
        if self.ready:
            self.call_after_refresh(self._render_current)

    @property
    def _owner(self) -> DsenvApp:
        return cast("DsenvApp", self.app)

    def _render_current(self) -> None:
        """Show the state as it is by then: it may have changed since this was asked for."""
        self.render_state(self._owner.state)

    def render_state(self, state: model.State) -> None:
        """Show a state."""
        if state.details is None:
            return
        self.query_one("#title", Static).update(_title(state))
        self.query_one("#verdict", Static).update(_verdict(state))
        self._render_frames(state)
        row = state.selected
        source = self.query_one("#source", Static)
        source.update(traceback.source(row, state.details, source.size.height))
        self.query_one(LocalsTable).show(row.frame if row else None, model.twin(state, row))
        self._render_table(state)
        self.query_one(OutputView).show(state)
        for name in ("inputs", "differences", "record"):
            self.query_one(f"#{name}-page", facts.Page).show(name, state)
        self._render_work(state)

    def _render_frames(self, state: model.State) -> None:
        rows = state.frames
        frames = self.query_one("#frames", OptionList)
        if rows != self._rows:
            self._rows = rows
            frames.clear_options()
            frames.add_options([traceback.label(row) for row in rows])
            if rows:
                frames.highlighted = min(state.frame, len(rows) - 1)

    def _render_table(self, state: model.State) -> None:
        """The columns of one table in the place of the source and of the other locals."""
        found, profile = state.open_table, self.query_one(ProfileTable)
        self.set_class(found is not None, "table")
        if found is None:
            if profile.has_focus:
                self.query_one(LocalsTable).focus()
            return
        self.query_one("#table-title", Static).update(profile_title(*found))
        profile.show(*found)
        profile.focus()

    def _render_work(self, state: model.State) -> None:
        panel = self.query_one("#work", Static)
        panel.display = state.work is not None or state.problem is not None or state.saved is not None
        if state.work:
            panel.update(facts.progress(state.work))
        elif state.problem:
            panel.update(Text(printable(f"{state.problem.message}\n{state.problem.hint}".strip()), style="red"))
        elif state.saved:
            panel.update(facts.saved(state.saved))

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        name = self.query_one(LocalsTable).table_at(event.cursor_row) if event.data_table.id == "locals" else ""
        if name:
            self._owner.update(model.TablePicked(name))

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        if event.option_index != self._owner.state.frame:
            self._owner.update(model.FramePicked(event.option_index))

    def action_reproduce(self) -> None:
        self._owner.reproduce("recorded")

    def action_working_tree(self) -> None:
        self._owner.reproduce("working-tree")

    def action_debug(self) -> None:
        self._owner.stop_in_frame()

    def action_save_test(self) -> None:
        self._owner.ask_for_test()

    def action_edit(self) -> None:
        self._owner.edit()

    def action_all_frames(self) -> None:
        self._owner.update(model.AllFramesToggled())

    def action_cancel(self) -> None:
        self._owner.cancel_work()

    def action_tab(self, name: str) -> None:
        self.query_one("#tabs", TabbedContent).active = name

    def action_back(self) -> None:
        """Cancel what runs, or leave a table; with neither, go back to the list."""
        if self._owner.state.work:
            self._owner.cancel_work()
            return
        if self._owner.state.open_table:
            self._owner.update(model.TablePicked(""))
            return
        self._owner.pop_screen()
        if not self._owner.state.loaded:
            self._owner.list_runs()


def _title(state: model.State) -> Text:
    assert state.details is not None
    record = state.details.record
    return Text.assemble((printable(command(*record.get("command", []))), "bold"), (f"  {record['id']}", "dim"))


def _verdict(state: model.State) -> Text:
    assert state.details is not None
    details = state.details
    recorded = Text(shorten(failure(details.record.get("signature"), details.failure), 400), style="red")
    result = state.reproduction
    if result is None:
        return recorded
    style = _VERDICT_STYLE[result.verdict]
    head = result.verdict if result.fixed is None else verdict(result.code, result.verdict)
    why = f": {result.reason}" if result.reason else ""
    if result.verdict == "different-failure":
        why = f": {signature(result.observed)}"
    if result.explained_by:
        why += f": {out_of_memory(result.explained_by.signature)}"
    style = {True: "bold green", False: "bold red", None: style}[result.fixed]
    return Text.assemble((head, style), printable(why), "   recorded ", recorded)
