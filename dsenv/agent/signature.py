"""What makes two failures the same: exception type, normalised message and the user's frame; or the signal."""

from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping, Optional, cast

from dsenv.agent.schema import ExceptionDetail, Failure, Frame, FrameDetail, Frames, Signature

_MESSAGE_LIMIT = 2000

# In this order: what is found by one is not looked at by the next. No replacement matches any pattern.
_PATTERNS = (
    (re.compile(r"\b[a-zA-Z][a-zA-Z0-9+.-]*://[^\s'\"<>]+"), "<url>"),
    (re.compile(r"(?<![\w/<.])(?:~|\.{1,2})?(?:/[^\s/'\"<>:;,()\[\]{}|]+)+/?"), "<path>"),
    (re.compile(r"\b[A-Za-z]:\\[^\s'\"<>|]+"), "<path>"),
    (re.compile(r"\b0[xX][0-9a-fA-F]+"), "<address>"),
    (re.compile(r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"), "<id>"),
    (re.compile(r"\b(?=[0-9a-fA-F]*[0-9])(?=[0-9a-fA-F]*[a-fA-F])[0-9a-fA-F]{12,}\b"), "<id>"),
    (re.compile(r"\d+(?:[.,_]\d+)*(?:[eE][-+]?\d+)?"), "<n>"),
    (re.compile(r"\s+"), " "),
)

# `sys.exit` in an exception handler, and an exception that nobody caught, end a process. The others do not.
_ENDING = ("uncaught", "exit")

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
    if signal is not None:
        return _signature("signal", signal=signal, cause=cause)
    if not exit:
        return None
    primary = frames.get("primary")
    failures: List[Failure] = frames.get("failures", [])
    if primary is None or not failures[primary].get("exceptions"):
        return _signature("exit", exit=exit)
    return of_failure(failures[primary], root)


def of_failure(failure: Failure, root: str) -> Optional[Signature]:
    """The signature of one process's failure; None when nothing is known but that there was one."""
    exceptions = failure.get("exceptions")
    if not exceptions:
        return None
    error = exceptions[0]
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
    return _identity(a) == _identity(b)


def _identity(value: Mapping[str, Any]) -> List[Any]:
    frame = value.get("frame") or {}
    return [
        value.get("kind"),
        value.get("type"),
        normalise(value.get("message") or ""),
        [frame.get(name) for name in ("file", "function", "line_text")],
        value.get("signal"),
        value.get("cause"),
        value.get("exit") if value.get("kind") == "exit" else None,
    ]


def choose(failures: List[Failure], exit: Optional[int], later: bool) -> Optional[int]:  # noqa: A002 - schema's word
    """Which failure ended a command, as an index; None when none of them did.

    It is the last failure that ends a process; where there is none, the last exception that was logged. When it
    ended its process with another code than the command's and `later` processes were started after it, the
    command went on after it and failed for another reason.
    """
    if not exit:
        return None
    for wanted in (_ENDING, ("logged",), ("thread",)):
        found = [i for i, failure in enumerate(failures) if failure.get("how") in wanted]
        if found:
            last = max(found, key=lambda i: failures[i].get("when", 0))
            code = cast(Dict[str, Any], failures[last]).get("code", 1)
            return None if later and code != exit else last
    return None


def frames_of(failures: List[Failure], primary: Optional[int]) -> Frames:
    """The content of frames.json."""
    from dsenv.agent.schema import FORMAT

    return {"format": FORMAT, "primary": primary, "failures": failures}
