"""How values are put into words for people."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from dsenv.agent import moments
from dsenv.agent.schema import BlackBox
from dsenv.agent.signature import of

if TYPE_CHECKING:
    from dsenv.runs.index import RunSummary


def command(*words: str) -> str:
    """An argv as one would type it."""
    return shlex.join(words)


def brief(argv: list[str], width: int) -> str:
    """A command for a list: the program without its folder."""
    return shorten(command(*(argv[0].rpartition("/")[2], *argv[1:])), width) if argv else ""


def count(number: int, noun: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def shorten(text: str, width: int) -> str:
    """One line of at most `width` characters; control characters become visible instead of taking effect."""
    line = printable(text.replace("\n", " "))
    return line if len(line) <= width else line[: width - 1] + "…"


def printable(text: str) -> str:
    """The text without anything that a terminal would obey: records come from elsewhere."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in text)


def took(record: Mapping[str, Any]) -> str:
    """How long a run took; empty when that is not known."""
    begun, ended = record.get("started"), record.get("ended")
    return f"{(ended - begun) / 1e6:.1f} s" if begun is not None and ended else ""


def ago(microseconds: int) -> str:
    """How long ago, in one unit."""
    seconds = max(0.0, time.time() - microseconds / 1e6)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return f"{int(seconds)} s ago"


def duration(seconds: float) -> str:
    """How long, in the two largest units that matter."""
    whole = round(seconds)
    for size, unit, smaller in ((3600, "h", 60), (60, "min", 1)):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {unit}" + (f" {rest} {'min' if unit == 'h' else 's'}" if rest else "")
    return f"{whole} s"


def dollars(amount: float) -> str:
    """An amount of money, cents where they matter and less where they would hide all of it."""
    return f"${amount:,.2f}" if amount >= 0.1 or not amount else f"${amount:.4f}"


def size(count: float) -> str:
    """Bytes in the largest fitting unit."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            break
        count /= 1024
    return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"


def reason(run: RunSummary) -> str:
    """Why a run failed, in half a line."""
    if run.status == "lost":
        known = run.signature and run.signature["cause"] != "lost"
        return f"lost: {signature(run.signature)}" if known else "lost: no word from it since"
    if run.signature:
        return signature(run.signature)
    return "" if not run.exit else f"exit {run.exit}"


def signature(value: Mapping[str, Any] | None) -> str:
    """A failure signature in one line."""
    if value is None:
        return "no failure"
    if value["kind"] == "exception":
        message = value.get("message") or ""
        return f"{value['type']}: {message}" if message else str(value["type"])
    if value["kind"] == "signal":
        shown = f"{value['signal']} ({value['cause']})" if value.get("cause") else str(value["signal"])
        return f"presumably {shown}" if value.get("presumed") else shown
    return f"exit {value['exit']}"


_VERDICTS = {
    ("recorded", "same-failure"): "the same failure, reproduced here",
    ("recorded", "different-failure"): "it fails here too, but differently",
    ("recorded", "passed"): "it passes here",
    ("working-tree", "same-failure"): "not fixed: the same failure",
    ("working-tree", "different-failure"): "not fixed: it fails differently",
    ("working-tree", "passed"): "fixed: it passes with the working tree",
}


def verdict(code: str, word: str) -> str:
    """What a verdict means, of the recorded code or of the working tree."""
    return _VERDICTS.get((code, word), "it cannot be reproduced here")


def failure(signature_: Mapping[str, Any] | None, detail: Mapping[str, Any] | None) -> str:
    """A failure as it was said: the message itself when it is known, else the signature with its placeholders."""
    exceptions = (detail or {}).get("exceptions") or []
    if signature_ is not None and signature_["kind"] == "exception" and exceptions:
        message = exceptions[0].get("message", "")
        return f"{exceptions[0].get('type', '')}: {message}" if message else str(exceptions[0].get("type", ""))
    return signature(signature_)


def place(value: Mapping[str, Any] | None) -> str:
    """Where the user's code failed: file:line in function."""
    frame = (value or {}).get("frame")
    return f"{frame['file']}:{frame['line']} in {frame['function']}" if frame else ""


def moment(entry: Mapping[str, Any], root: str) -> str:
    """Where the first process of an entry of the black box was; how many more were looked at."""
    failures = moments.of_entry(cast(BlackBox, entry))
    if not failures:
        return "no Python answered"
    found = of({"primary": 0, "failures": failures}, None, "SIGKILL", root=root)
    more = len({failure["pid"] for failure in failures}) - 1
    return place(found) + (f", and {more} more" if more else "")


def out_of_memory(value: Mapping[str, Any]) -> str:
    """Where memory ran out, of the signature of a run that says so: file:line, in function: the line."""
    frame = value.get("frame")
    if not frame:
        return f"it ran out of memory: {value.get('message')}"
    return f"it ran out of memory at {frame['file']}:{frame['line']}, in {frame['function']}: {frame['line_text']}"


def input_state(item: Mapping[str, Any]) -> tuple[str, bool]:
    """What is known of a recorded input (`agent.schema.Input`), and whether a reproduction has all of it."""
    if item.get("missing"):
        return "was not there", True
    if item.get("how") == "listed":
        return f"listed, {len(item.get('entries', []))} entries", True
    note = f": {printable(item['note'])}" if item.get("note") else ""
    if item.get("blob"):
        return f"{size(item.get('size', 0))}, kept{note}", True
    if item.get("answer"):
        return f"{printable(item.get('call', '').partition(' ')[0])}, its answer is kept", True
    return f"{size(item.get('size', 0))}, not kept{note}", False
