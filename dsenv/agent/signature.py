"""What makes two failures the same: exception type, normalised message and the user's frame; or the signal."""

from __future__ import annotations

import re

from dsenv.agent.light import TYPE_CHECKING, cast
from dsenv.agent.patterns import lazy

if TYPE_CHECKING:
    from typing import Any, Dict, List, Mapping, Optional

    from dsenv.agent.schema import ExceptionDetail, Failure, Frame, FrameDetail, Frames, Signature


_MESSAGE_LIMIT = 2000

# In this order: what is found by one is not looked at by the next. No replacement matches any pattern.
_PATTERNS = (
    (lazy(r"\b[a-zA-Z][a-zA-Z0-9+.-]*://[^\s'\"<>]+"), "<url>"),
    (lazy(r"(?<![\w/<.])(?:~|\.{1,2})?(?:/[^\s/'\"<>:;,()\[\]{}|]+)+/?"), "<path>"),
    (lazy(r"\b[A-Za-z]:\\[^\s'\"<>|]+"), "<path>"),
    (lazy(r"\b0[xX][0-9a-fA-F]+"), "<address>"),
    (lazy(r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"), "<id>"),
    (lazy(r"\b(?=[0-9a-fA-F]*[0-9])(?=[0-9a-fA-F]*[a-fA-F])[0-9a-fA-F]{12,}\b"), "<id>"),
    (lazy(r"\d+(?:[.,_]\d+)*(?:[eE][-+]?\d+)?"), "<n>"),
    (lazy(r"\s+"), " "),
)

# What explains the exit code of a command, best first. An exception that nobody caught, and an exit in an exception
# handler, end a process; the others do not, but the program may have ended because of them.
_EXPLAIN = (("uncaught", "exit"), ("logged",), ("worker", "thread", "notebook"))

# What a failure is called that is no exception but an exit.
EXITS = ("SystemExit", "os._exit", "click.exceptions.Exit", "typer.exceptions.Exit")

# What is told of a process that raised nothing.
_PLACES = ("time-out", "memory", "signal")

# By these a process dies of what it did itself, at the place where it did it. By others it dies wherever it is.
_OWN_FAULT = ("SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL")

# Frames of their own before Python 3.12, part of their function since.
_INLINED = ("<listcomp>", "<dictcomp>", "<setcomp>")


def normalise(message: str) -> str:
    """The message without what differs between two occurrences of one failure: numbers, addresses, paths, ids.

    Normalising twice changes nothing.
    """
    message = message[:_MESSAGE_LIMIT]
    for pattern, replacement in _PATTERNS:
        message = pattern.sub(replacement, message)
    return message.strip()


def of(
    frames: Mapping[str, Any],
    exit: Optional[int],  # noqa: A002 - the word of the schema
    signal: Optional[str],
    *,
    root: str = "",
    cause: Optional[str] = None,
) -> Optional[Signature]:
    """The signature of a command that ended so, None when it ended well.

    `frames` is a `schema.Frames` whose `primary` is the failure that counts; `root` is the project's folder, to
    which file names become relative; `cause` is what is known of a signal's reason.
    """
    if signal is None and not exit:
        return None
    primary = frames.get("primary")
    failures: List[Failure] = frames.get("failures", [])
    exceptions = failures[primary].get("exceptions", []) if primary is not None else []
    if signal is not None:
        found = _signature("signal", signal=signal, cause=cause)
    elif primary is None or not exceptions or is_exit(failures[primary]):
        found = _signature("exit", exit=exit)
    else:
        return of_failure(failures[primary], root)
    found["frame"] = _frame(exceptions[0], root) if exceptions else None
    return found


def is_exit(failure: Failure) -> bool:
    """Whether it only says where the program ended itself, with a code and for no exception."""
    exceptions = failure.get("exceptions", [])
    return failure.get("how") == "exit" and bool(exceptions) and exceptions[0].get("type") in EXITS


def of_failure(failure: Failure, root: str) -> Optional[Signature]:
    """The signature of one process's failure; None when nothing is known but that there was one."""
    exceptions = failure.get("exceptions")
    if not exceptions or is_exit(failure) or failure.get("how") in _PLACES:
        return None
    error = exceptions[0]
    if failure.get("how") == "fatal":
        crashed = _signature("signal", signal=error.get("type"))
        crashed["frame"] = _frame(error, root)
        return crashed
    found = _signature("exception", kind_of=error.get("type"), cause=_cause(exceptions))
    found["message"] = normalise(error.get("message", ""))
    found["frame"] = _frame(error, root)
    return found


def _signature(
    kind: str,
    *,
    kind_of: Optional[str] = None,
    signal: Optional[str] = None,
    cause: Optional[str] = None,
    exit: Optional[int] = None,  # noqa: A002 - the word of the schema
) -> Signature:
    return {
        "kind": kind,
        "type": kind_of,
        "message": None,
        "frame": None,
        "signal": signal,
        "cause": cause,
        "exit": exit,
    }


def _cause(exceptions: List[ExceptionDetail]) -> Optional[str]:
    if len(exceptions) > 1 and exceptions[0].get("link") == "cause":
        return exceptions[1].get("type")
    return None


def _frame(error: ExceptionDetail, root: str) -> Optional[Frame]:
    """The deepest frame of the user's code; of any code when none is the user's."""
    frames = error.get("frames", [])
    if not frames:
        return None
    own = [frame for frame in frames if frame.get("user")] or frames
    functions = [frame for frame in own if _function(frame) not in _INLINED]
    return _place((functions or own)[-1], root)


def _function(frame: FrameDetail) -> str:
    """The name without its classes: older Pythons do not know those."""
    return frame.get("function", "").rpartition(".")[2]


def _place(frame: FrameDetail, root: str) -> Frame:
    line = frame.get("line", 0)
    source = frame.get("source", [])
    index = line - frame.get("first_line", 0)
    text = source[index].strip() if 0 <= index < len(source) else ""
    return {
        "file": relative(frame.get("file", ""), root),
        "function": _function(frame),
        "line": line,
        "line_text": text,
    }


def relative(file: str, root: str) -> str:
    """A file name that is the same on every machine: below the project, `site-packages/...` or `lib/...`."""
    file = file.replace("\\", "/")
    for mark in ("/site-packages/", "/dist-packages/"):
        if mark in file:
            return "site-packages/" + file.rpartition(mark)[2]
    cell = re.search(r"/(ipykernel)_\d+(/.*)", file)
    if cell:
        return cell.group(1) + cell.group(2)  # without the number of the process that ran it
    base = root.replace("\\", "/").rstrip("/")
    if base and file.startswith(base + "/"):
        return file[len(base) + 1 :]
    found = re.search(r"/lib(?:64)?/python\d[\d.]*/(.*)", file)
    if found:
        return "lib/" + found.group(1)
    return file


def same(a: Optional[Mapping[str, Any]], b: Optional[Mapping[str, Any]]) -> bool:
    """Whether two signatures are of the same failure. Two that are None are two runs that ended well."""
    if a is None or b is None:
        return a is b
    return _identity(a) == _identity(b) and _same_frame(a, b)


def _identity(value: Mapping[str, Any]) -> List[Any]:
    return [
        value.get("kind"),
        value.get("type"),
        normalise(value.get("message") or ""),
        value.get("signal"),
        value.get("cause"),
        value.get("exit") if value.get("kind") == "exit" else None,
    ]


def _same_frame(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    """Of a signal from elsewhere, the place is chance. Of an exit or a crash, one of the two may not know it."""
    if a.get("kind") == "signal" and a.get("signal") not in _OWN_FAULT:
        return True
    places = [[(value.get("frame") or {}).get(name) for name in ("file", "function", "line_text")] for value in (a, b)]
    if a.get("kind") != "exception" and not (a.get("frame") and b.get("frame")):
        return True
    return places[0] == places[1]


def choose(failures: List[Failure], exit: Optional[int], later: bool) -> Optional[int]:  # noqa: A002 - schema's word
    """Which failure ended a command, as an index; None when none of them did.

    It is the last failure that ends a process; where there is none, the last exception that was logged; then one
    that ended a worker or a thread; then the place where the program ended itself. When it ended its process with
    another code than the command's and `later` processes were started after it, the command went on after it and
    failed for another reason.
    """
    if not exit:
        return None
    exceptions = [index for index, failure in enumerate(failures) if not is_exit(failure)]
    exits = [index for index in range(len(failures)) if index not in exceptions]
    choices = [[i for i in exceptions if failures[i].get("how") in hows] for hows in _EXPLAIN]
    tasks = [i for i in exceptions if failures[i].get("how") == "task"]
    for found in (*choices, exits, tasks):
        if found:
            last = max(found, key=lambda i: failures[i].get("when", 0))
            code = cast("Dict[str, Any]", failures[last]).get("code", 1)
            return None if (later or found is exits) and code != exit else last
    return None


def frames_of(failures: List[Failure], primary: Optional[int]) -> Frames:
    """The content of frames.json."""
    from dsenv.agent.layout import FORMAT

    return {"format": FORMAT, "primary": primary, "failures": failures}
