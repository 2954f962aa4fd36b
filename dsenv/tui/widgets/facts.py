"""Pages of facts: inputs, differences, the record; and the progress of work."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text
from textual.containers import VerticalScroll
from textual.widgets import Static

from dsenv.tui.model import WORK_TITLES, State, Work
from dsenv.wording import input_state, printable, shorten, size, took
from dsenv.workflows.testfile.model import Saved

TABS = ("failure", "output", "inputs", "differences", "record")
_SHOWN = 500


class Page(VerticalScroll):
    """Lines of text that scroll."""

    def __init__(self, *, id: str) -> None:  # noqa: A002 - textual's own name for it
        super().__init__(Static("", markup=False), id=id)

    def show(self, name: str, state: State) -> None:
        """Show the page called `name` of a state."""
        lines = list(_PAGES[name](state))
        self.query_one(Static).update(Text("\n").join(lines))


def progress(work: Work) -> Text:
    """Steps with marks; the last line says how to stop."""
    marks = {"running": "…", "done": "✓", "failed": "✗"}
    text = Text()
    for step in work.steps[-6:]:
        seconds = f"  {step.seconds:.1f} s" if step.seconds else ""
        text.append(f"{marks[step.state]} {step.title}{f': {step.note}' if step.note else ''}{seconds}\n")
    ending = "stopping …" if work.cancelling else "esc to cancel"
    text.append(f"{WORK_TITLES[work.kind]}  ({ending})", style="bold")
    return text


def saved(result: Saved) -> Text:
    """What became of a test that was asked for."""
    if result.reason:
        return Text(printable(f"no test was written: {result.reason}"), style="yellow")
    now = {
        "fails": "with the working tree it fails: not fixed yet",
        "passes": "it passes with the working tree: it is fixed",
    }
    state = now.get(result.working_tree, "with the working tree it fails differently: not fixed")
    lines = [
        Text(printable(f"wrote {result.file}"), style="bold green"),
        Text(f"{state} (verified by {result.verified_by})"),
        *(Text(printable(f"left out: {words}"), style="dim") for words in result.reduced),
    ]
    return Text("\n").join(lines)


def _inputs(state: State) -> Iterator[Text]:
    inputs = state.details.inputs if state.details else []
    if not inputs:
        yield Text("No files were seen being read.", style="dim")
    for item in inputs[:_SHOWN]:
        note, had = input_state(item)
        style = "red" if item.get("missing") else "dim" if had else "yellow"
        yield Text.assemble(printable(item.get("path", "")), (f"  {note}", style))
    if len(inputs) > _SHOWN:
        yield Text(f"and {len(inputs) - _SHOWN} more: dsenv show --json", style="dim")


def _differences(state: State) -> Iterator[Text]:
    result = state.reproduction
    if result is None:
        yield Text("Not reproduced yet. Press r.", style="dim")
        return
    if result.differences:
        yield Text("What still differs, the likeliest cause first", style="bold")
    for difference in result.differences:
        yield Text.assemble((f"{difference.what} ", "bold"), printable(f"{difference.name}: {difference.why}"))
        yield Text(shorten(f"    there {difference.recorded}   here {difference.here}", 200), style="dim")
    for title, items in (("Restored", result.restored), ("Not restored", result.not_restored)):
        yield Text(f"\n{title}", style="bold")
        if not items:
            yield Text("nothing", style="dim")
        for item in items[:_SHOWN]:
            yield Text(printable(f"{item.what} {item.name}: {item.note}"))


def _record(state: State) -> Iterator[Text]:
    if state.details is None:
        return
    record = state.details.record
    environment = record.get("environment", {})
    host = record.get("host", {})
    rows = {
        "run": f"{record['id']}  ({state.details.status}, {record.get('kind', 'production')})",
        "folder": record.get("cwd", ""),
        "host": " ".join(str(value) for value in host.values()),
        "python": str(environment.get("python", {}).get("version", "")),
        "packages": str(len(environment.get("distributions", []))),
        "took": took(record),
        "memory": size(record.get("resources", {}).get("max_rss", 0)),
        "hidden": ", ".join(sorted({f"{r['where']} {r['name']}" for r in record.get("redactions", [])})),
        "trouble": "; ".join(record.get("trouble", [])),
    }
    for name, value in rows.items():
        if value:
            yield Text.assemble((f"{name:10}", "bold"), printable(value))
    yield Text("\nEnvironment variables", style="bold")
    for name, value in sorted(record.get("env", {}).items()):
        yield Text(shorten(f"{name}={value}", 300))


_PAGES = {"inputs": _inputs, "differences": _differences, "record": _record}
