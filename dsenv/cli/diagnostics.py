"""The only owner of stderr and of exit codes.

Errors, progress, notices and prompts go through here. Codes: see `EXIT_CODES`, from which the reference
page is generated.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from dsenv import events
from dsenv.errors import DsenvError, EnvError, ProviderError, StateError, TransportError, UsageError

ANSWER_NO = 1
OWN_FAILURE = 125
BUG = 70
INTERRUPTED = 130

EXIT_CODES: dict[int, str] = {
    0: "done, and the answer is yes",
    ANSWER_NO: "the answer is no: differences, a stale lock, a verdict other than same-failure, a failed task",
    2: "usage or configuration",
    3: "environment: solve, lock, install",
    4: "provider: auth, capacity, quota",
    5: "connection",
    6: "state: locked, corrupt",
    BUG: "a bug in dsenv; the traceback is in the log file that the message names",
    OWN_FAILURE: "`run` and `capture` only: dsenv itself failed; any other code is the command's own",
    INTERRUPTED: "interrupted",
}

_CODES: tuple[tuple[type[DsenvError], int], ...] = (
    (UsageError, 2),
    (EnvError, 3),
    (ProviderError, 4),
    (TransportError, 5),
    (StateError, 6),
)

ProgressMode = Literal["auto", "plain", "json", "none"]


def exit_code(error: DsenvError) -> int:
    """The documented exit code of an error of ours."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), BUG)


def write(text: str) -> None:
    """One message to stderr. A reader that went away must not turn into a second error."""
    try:
        text = text if text.endswith("\n") else text + "\n"
        sys.stderr.write("\r\n" + text.replace("\n", "\r\n") if _is_raw() else text)
        sys.stderr.flush()
    except (OSError, ValueError):
        pass


def write_bytes(data: bytes) -> None:
    """Bytes as they are: what a command wrote to its stderr."""
    sys.stderr.flush()
    sys.stderr.buffer.write(data)
    sys.stderr.flush()


def is_terminal() -> bool:
    """Whether stderr is a terminal."""
    return sys.stderr.isatty()


def _is_raw() -> bool:
    """Whether stderr is a terminal that a run has to itself: a new line does not begin on the left there."""
    if sys.platform == "win32":
        return False
    import termios

    try:
        return not termios.tcgetattr(sys.stderr.fileno())[1] & termios.OPOST
    except (termios.error, OSError, ValueError):
        return False


def report(error: DsenvError, *, as_json: bool = False) -> None:
    """Show an error: what failed, the evidence, and what to type next."""
    if as_json:
        fields = {"event": "error", "message": error.message, "hint": error.hint, "detail": error.detail}
        write(json.dumps(fields | {"exit": exit_code(error)}))
        return
    lines = [f"error: {error.message}"]
    if error.detail:
        lines += [f"  {line}" for line in error.detail.rstrip().splitlines()]
    if error.hint:
        lines.append(f"  next: {error.hint}")
    write("\n".join(lines))


def report_bug(error: BaseException) -> None:
    """Our own bug: the traceback goes to the log file, its path to the user."""
    from dsenv.config import paths

    file = paths.log_file()
    text = "".join(traceback.format_exception(error))
    try:
        paths.private(file.parent)
        with file.open("a", encoding="utf-8") as log:
            log.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')} {sys.argv}\n{text}\n")
        where = f"the traceback is in {file}"
    except OSError as problem:
        where = f"no log could be written to {file} ({problem.strerror}):\n{text}"
    write(f"error: a bug in dsenv: {type(error).__name__}: {error}\n  {where}\n  next: report it with that file")


def interactive(*, as_json: bool, assume_yes: bool) -> bool:
    """Whether a question may be asked at all."""
    return not as_json and not assume_yes and sys.stdin.isatty() and sys.stderr.isatty()


def confirm(question: str) -> bool:
    """Ask for yes or no on the terminal; anything but yes is no."""
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


class Lines:
    """The listener for people: a line for each step with its time, a moving line on a terminal."""

    def __init__(self, *, live: bool) -> None:
        self._live = live
        self._lock = threading.Lock()
        self._shown = ""
        self._titles: dict[str, str] = {}
        self._updated = 0.0

    def __call__(self, event: events.Event) -> None:
        with self._lock:
            self._handle(event)

    def close(self) -> None:
        self._clear()

    def _handle(self, event: events.Event) -> None:
        match event:
            case events.StepStarted(step=step, title=title):
                self._titles[step] = title
                self._status(f"  … {title}")
            case events.Progress(step=step, done=done, total=total, unit=unit):
                if time.monotonic() - self._updated > 0.1:
                    amount = f"{done:,}/{total:,}" if total else f"{done:,}"
                    self._status(f"  … {self._titles.get(step, step)}  {amount} {unit}")
            case events.StepFinished(title=title, seconds=seconds, note=note):
                self._line(f"  ✓ {title}{f': {note}' if note else ''}  ({_duration(seconds)})")
            case events.StepFailed(title=title, seconds=seconds):
                self._line(f"  ✗ {title}  ({_duration(seconds)})")
            case events.Notice(message=message, level=level):
                self._line(f"warning: {message}" if level == "warning" else f"  {message}")
            case events.Output(data=data):
                self._clear()
                write_bytes(data)

    def _status(self, text: str) -> None:
        if not self._live:
            return
        width = max(20, _columns() - 1)
        self._clear()
        self._shown = text[:width]
        self._updated = time.monotonic()
        sys.stderr.write(self._shown)
        sys.stderr.flush()

    def _clear(self) -> None:
        if self._shown:
            sys.stderr.write("\r\x1b[2K")
            self._shown = ""

    def _line(self, text: str) -> None:
        self._clear()
        write(text)


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns
    except (OSError, ValueError):
        return 80


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _json_line(event: events.Event) -> None:
    write(json.dumps(events.as_json(event)))


def mode(text: str) -> ProgressMode:
    """The value of `--progress`. Raises UsageError for an unknown one."""
    known: tuple[ProgressMode, ...] = ("auto", "plain", "json", "none")
    for name in known:
        if text == name:
            return name
    raise UsageError(f"--progress {text} is not known", hint=f"use one of: {', '.join(known)}")


@contextmanager
def listener(mode: ProgressMode = "auto") -> Iterator[events.Emit]:
    """The listener that a command hands to its workflow."""
    if mode == "none":
        yield events.ignore
    elif mode == "json":
        yield _json_line
    else:
        lines = Lines(live=mode == "auto" and sys.stderr.isatty() and not os.environ.get("CI"))
        try:
            yield lines
        finally:
            lines.close()
