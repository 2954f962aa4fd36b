"""Rows of a traceback, and the recorded source around a line."""

from __future__ import annotations

from pathlib import PurePosixPath

from rich.console import RenderableType
from rich.syntax import Syntax
from rich.text import Text

from dsenv.tui.model import BLACK_BOX, FrameRow
from dsenv.wording import printable
from dsenv.workflows.reproduce.plan import is_below
from dsenv.workflows.show import RunDetails


def label(row: FrameRow) -> Text:
    """A row of the list: an exception's type, or a frame's function and place."""
    if row.frame is None and row.heading in BLACK_BOX.values():
        return Text(row.heading, style="bold yellow")
    if row.frame is None:
        head = f"{row.heading}: " if row.heading else ""
        return Text.assemble((head, "dim"), (printable(row.exception.get("type", "")), "bold red"))
    style = "" if row.frame.get("user") else "dim"
    place = f"{PurePosixPath(row.frame['file']).name}:{row.frame['line']}"
    return Text.assemble((f"  {printable(row.frame['function'])}", style), (f"  {printable(place)}", "dim"))


def source(row: FrameRow | None, details: RunDetails, height: int = 0) -> RenderableType:
    """The recorded source of a frame, its line marked; the message of an exception.

    Its line is among the first `height` lines, when that is given.
    """
    if row is None:
        return Text(_nothing(details), style="dim")
    if row.frame is None and row.heading in BLACK_BOX.values():
        return Text("There was no exception. Below is where it was, as it was seen from outside.")
    if row.frame is None:
        notes = "".join(f"\n{printable(note)}" for note in row.exception.get("notes", []))
        return Text(f"{row.exception.get('type')}: {printable(row.exception.get('message', ''))}{notes}")
    lines = row.frame.get("source", [])
    if not lines:
        return Text(f"{printable(row.frame['file'])}:{row.frame['line']}\n(no source in the record)", style="dim")
    first = row.frame.get("first_line", 1)
    cut = min(max(0, row.frame["line"] - first - max(0, height - 2)), len(lines) - 1) if height else 0
    code = "\n".join(printable(line) for line in lines[cut:])
    return Syntax(
        code,
        "python",
        line_numbers=True,
        start_line=first + cut,
        highlight_lines={row.frame["line"]},
        theme="ansi_dark",
        background_color="default",
        word_wrap=False,
    )


def _nothing(details: RunDetails) -> str:
    """Why there is no traceback."""
    record = details.record
    if details.status == "lost":
        return "The run was lost: it was killed together with its capture. The output has its last words."
    if record.get("signal"):
        return f"The command was ended by {record['signal']}: there is no traceback. See the output (2)."
    return f"The command ended with exit code {record.get('exit')} and no traceback. See the output (2)."


def short_file(file: str, root: str) -> str:
    """A recorded file as the project knows it."""
    return file[len(root.rstrip("/")) + 1 :] if is_below(file, root) and file != root else file
