"""Describes an exception: frames with their source and bounded locals. Read when Python starts, compiled at a failure.

It imports nothing that could be absent, follows nothing without a bound, and looks at pandas and NumPy objects only
through modules that the program has loaded itself. Secrets are hidden later, by the process that writes the record.
"""

import os
import sys
from _thread import get_ident
from time import time_ns

TYPE_CHECKING = False  # typing would be loaded into every program
if TYPE_CHECKING:
    from typing import Any, Dict, Iterator, List, Optional, Tuple

FRAMES = 60
LOCALS = 60
ITEMS = 10
PREVIEW = 400
MESSAGE = 4000
BEFORE, AFTER = 6, 4
CHAIN = 12
COLUMNS = 60
PROFILED_ROWS = 1_000_000
THREADS = 40
OWN = ("<frozen ", "<dsenv>")
STATE = {"calm": False}  # calm: nothing of the user's own code may run; it may hold locks, or be what is stuck


def describe(error: BaseException, root: str, brief: bool = False, outer: "Any" = None) -> "Dict[str, Any]":
    """The exception with its causes as a `schema.Failure`. `brief` leaves locals out.

    `outer` is the traceback of what followed when the exception was caught: it has the calls around the handler.
    """
    exceptions: "List[Dict[str, Any]]" = []
    seen: "set[int]" = set()
    current: "Optional[BaseException]" = error
    while current is not None and id(current) not in seen and len(exceptions) < CHAIN:
        seen.add(id(current))
        detail, following = _exception(current, root, brief, outer if current is error else None)
        exceptions.append(detail)
        current = following
    if exceptions and current is not None:
        exceptions[-1]["link"] = None
    return dict(_process(), exceptions=exceptions)


def _process() -> "Dict[str, Any]":
    return {
        "pid": os.getpid(),
        "ppid": os.getppid(),
        "argv": [str(word) for word in getattr(sys, "orig_argv", None) or [sys.executable, *getattr(sys, "argv", [])]],
        "when": time_ns() // 1000,
        "thread": _thread_name(),
    }


def place(by: str, frame: "Any", root: str) -> "Dict[str, Any]":
    """An exit that no exception led to, as a `schema.Failure`: `by` is what ended the program, called in `frame`."""
    return dict(_process(), exceptions=[{"type": by, "message": "", "link": None, "frames": _stack(frame, root)}])


def stacks(current: "Any", root: str) -> "List[Dict[str, Any]]":
    """Where every thread is, with locals, as `schema.Stack`s: this thread, which was interrupted in `current`, first.

    The program goes on, or is stuck: nothing of the user's own code is run in order to look.
    """
    names, here = _thread_names(), get_ident()
    frames = dict(sys._current_frames())
    frames.pop(here, None)
    STATE["calm"] = True
    try:
        return [
            {"pid": os.getpid(), "thread": names.get(ident, str(ident)), "frames": _stack(frame, root)}
            for ident, frame in [(here, current), *list(frames.items())[: THREADS - 1]]
        ]
    finally:
        STATE["calm"] = False


def _thread_names() -> "Dict[int, str]":
    """Without the lock of the module threading, which the interrupted code may hold."""
    active = getattr(sys.modules.get("threading"), "_active", {})
    return {ident: str(getattr(thread, "_name", ident)) for ident, thread in list(active.items())}


def _stack(frame: "Any", root: str) -> "List[Dict[str, Any]]":
    found: "List[Tuple[Any, int]]" = []
    while frame is not None:
        if not frame.f_code.co_filename.startswith(OWN):
            found.append((frame, frame.f_lineno))
        frame = frame.f_back
    return _details(found[::-1], root, False)


def _thread_name() -> str:
    threading = sys.modules.get("threading")
    return threading.current_thread().name if threading is not None else "MainThread"


def _exception(
    error: BaseException, root: str, brief: bool, outer: "Any" = None
) -> "Tuple[Dict[str, Any], Optional[BaseException]]":
    link, following = None, error.__cause__
    if following is not None:
        link = "cause"
    elif error.__context__ is not None and not error.__suppress_context__:
        link, following = "context", error.__context__
    detail = {
        "type": type_name(type(error)),
        "message": _guarded(str, error)[:MESSAGE],
        "notes": [str(note)[:MESSAGE] for note in getattr(error, "__notes__", ())][:ITEMS],
        "link": link,
        "frames": _frames(error, root, brief, outer),
    }
    members = getattr(error, "exceptions", None)
    if isinstance(members, tuple) and all(isinstance(member, BaseException) for member in members):
        detail["members"] = [_exception(member, root, brief)[0] for member in members[:ITEMS]]
    return detail, following


def type_name(kind: type) -> str:
    """The qualified name; builtins without their module."""
    module = getattr(kind, "__module__", "")
    return kind.__qualname__ if module in ("builtins", "exceptions") else "{}.{}".format(module, kind.__qualname__)


def _guarded(function: "Any", *args: "Any") -> str:
    """What `function` returns, as text. The user's own methods may raise anything."""
    try:
        return str(function(*args))
    except Exception as problem:  # noqa: BLE001 - it is the user's code
        return "<{} raised {}>".format(getattr(function, "__name__", "it"), type(problem).__name__)


def _frames(error: BaseException, root: str, brief: bool, outer: "Any" = None) -> "List[Dict[str, Any]]":
    found = list(_walk(error.__traceback__))
    around = list(_walk(outer)) if found else []
    meet = [index for index, (frame, _) in enumerate(around) if frame is found[0][0]]
    frames = _details((around[: meet[0]] if meet else []) + found, root, brief)
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        frames.append(_syntax_frame(error, root))
    return frames


def _details(found: "List[Tuple[Any, int]]", root: str, brief: bool) -> "List[Dict[str, Any]]":
    if len(found) > FRAMES:
        found = found[: FRAMES // 4] + found[-(FRAMES - FRAMES // 4) :]
    last = len(found) - 1
    return [_frame(frame, line, root, brief, index == last) for index, (frame, line) in enumerate(found)]


def _walk(traceback: "Any") -> "Iterator[Tuple[Any, int]]":
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        if not file.startswith(OWN):
            yield traceback.tb_frame, traceback.tb_lineno
        traceback = traceback.tb_next


def _frame(frame: "Any", line: int, root: str, brief: bool, last: bool) -> "Dict[str, Any]":
    code = frame.f_code
    file = os.path.abspath(code.co_filename) if not code.co_filename.startswith("<") else code.co_filename
    # Cython names a module's source as its builder saw it: a library's looks as if it lay in the working folder.
    user = is_user(file, root) and (not file.endswith((".pyx", ".pxd", ".pxi")) or os.path.exists(file))
    first, source = source_of(file, line, frame.f_globals)
    return {
        "file": file,
        "function": getattr(code, "co_qualname", code.co_name).replace("<locals>.", ""),
        "line": line or 0,
        "first_line": first,
        "source": source,
        "user": user,
        "module": str(frame.f_globals.get("__name__", "")),
        "locals": [] if brief or not (user or last) else _locals(frame),
    }


def _syntax_frame(error: SyntaxError, root: str) -> "Dict[str, Any]":
    file = os.path.abspath(str(error.filename))
    first, source = source_of(file, error.lineno or 0, {})
    return {
        "file": file, "function": "<module>", "line": error.lineno or 0, "first_line": first, "source": source,
        "user": is_user(file, root), "module": "", "locals": [],
    }  # fmt: skip


def is_user(file: str, root: str) -> bool:
    """Whether code is the user's: in the project, or at least neither installed nor Python's own."""
    if file.startswith("<"):
        return file in ("<string>", "<stdin>", "<dynamic-code>")
    if "/site-packages/" in file or "/dist-packages/" in file:
        return False
    if root and file.startswith(root.rstrip("/") + "/"):
        return True
    return not file.startswith(os.path.dirname(os.__file__) + "/")


def source_of(file: str, line: int, names: "Dict[str, Any]") -> "Tuple[int, List[str]]":
    """The number of the first line, and the lines around `line`."""
    lines = _lines(file, names)
    first = max(1, line - BEFORE)
    return first, [text[:PREVIEW] for text in lines[first - 1 : line + AFTER]]


def _lines(file: str, names: "Dict[str, Any]") -> "List[str]":
    linecache = sys.modules.get("linecache")
    cached = getattr(linecache, "cache", {}).get(file)
    if cached and len(cached) > 2 and cached[2]:
        return [text.rstrip("\n") for text in cached[2]]
    if file == "<string>":
        words = getattr(sys, "orig_argv", [])
        return str(words[words.index("-c") + 1]).split("\n") if "-c" in words[:-1] else []
    try:
        handle = os.open(file, os.O_RDONLY)
    except OSError:
        return _from_loader(names)
    try:
        data = os.read(handle, min(os.fstat(handle).st_size, 4 << 20))
    finally:
        os.close(handle)
    return data.decode("utf-8", "replace").split("\n")


def _from_loader(names: "Dict[str, Any]") -> "List[str]":
    get_source = getattr(names.get("__loader__"), "get_source", None)
    try:
        return str(get_source(names.get("__name__")) or "").split("\n") if get_source else []
    except Exception:  # noqa: BLE001 - a loader may be anyone's
        return []


def _locals(frame: "Any") -> "List[Dict[str, Any]]":
    module_level = frame.f_code.co_name == "<module>"
    found: "List[Dict[str, Any]]" = []
    for name, value in list(frame.f_locals.items()):
        if name.startswith("__") and name.endswith("__"):
            continue
        if module_level and (name in _SHELL or name[:2] == "_i") and "get_ipython" in frame.f_locals:
            continue
        if module_level and (isinstance(value, (type, type(sys))) or type(value).__name__ in _CODE):
            continue
        if len(found) >= LOCALS:
            break
        found.append(local(str(name), value))
    return found


# What IPython puts beside the variables of a notebook.
_SHELL = frozenset(["In", "Out", "_", "__", "___", "_oh", "_dh", "exit", "quit", "get_ipython"])


_CODE = frozenset(["function", "builtin_function_or_method", "_Feature", "Opener"])


def local(name: str, value: "Any", depth: int = 0) -> "Dict[str, Any]":
    """One value, bounded, as a `schema.Local`."""
    result: "Dict[str, Any]" = {"name": name, "type": type_name(type(value))}
    try:
        _fill(result, value, depth)
    except Exception as problem:  # noqa: BLE001 - looking at a value runs the user's code
        result["preview"] = "<{} while looking at it>".format(type(problem).__name__)
    return result


def _fill(result: "Dict[str, Any]", value: "Any", depth: int) -> None:
    if value is None or isinstance(value, (bool, int, float, complex)):
        result["preview"] = _number(value)
    elif isinstance(value, (str, bytes, bytearray)):
        result["preview"] = repr(value[:PREVIEW]) + ("..." if len(value) > PREVIEW else "")
        result["length"] = len(value)
    elif isinstance(value, dict):
        result["length"] = len(value)
        result["preview"] = _brief_repr(value)
        if depth < 2:
            result["items"] = [local(_brief_repr(key), item, depth + 1) for key, item in _first(value.items())]
    elif isinstance(value, (list, tuple, set, frozenset)):
        result["length"] = len(value)
        result["preview"] = _brief_repr(value)
        if depth < 2:
            result["items"] = [local(str(i), item, depth + 1) for i, item in enumerate(_first(value))]
    elif not _numeric(result, value):
        _object(result, value, depth)


def _number(value: "Any") -> str:
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 1000:
        return "<int of {} bits>".format(value.bit_length())
    return repr(value)[:PREVIEW]


def _first(items: "Any") -> "List[Any]":
    """The first items. Sets of names are sorted: two of them are compared by eye."""
    found: "List[Any]" = []
    if type(items) in (set, frozenset) and len(items) <= 1000 and all(type(item) is str for item in items):
        items = sorted(items)
    for item in items:
        if len(found) >= ITEMS:
            break
        found.append(item)
    return found


def _brief_repr(value: "Any", depth: int = 0) -> str:
    """What repr shows, without building more of it than is kept."""
    kind = type(value)
    if kind in (list, tuple, set, frozenset, dict) and depth < 3:
        pairs = _first(value.items()) if kind is dict else [(None, item) for item in _first(value)]
        parts = [
            (_brief_repr(k, depth + 1) + ": " if kind is dict else "") + _brief_repr(v, depth + 1) for k, v in pairs
        ]
        if len(value) > ITEMS:
            parts.append("...")
        left, right = "[]" if kind is list else "()" if kind is tuple else "{}"
        return (left + ", ".join(parts) + ("," if kind is tuple and len(value) == 1 else "") + right)[:PREVIEW]
    if kind in (list, tuple, set, frozenset, dict):
        return "<{} of {}>".format(kind.__name__, len(value))
    if kind in (str, bytes, bytearray):
        return repr(value[: PREVIEW // 4]) + ("..." if len(value) > PREVIEW // 4 else "")
    if isinstance(value, int):
        return _number(value)
    if getattr(value, "shape", None) is not None:
        return "<{} {}>".format(kind.__name__, getattr(value, "shape", ""))
    return _repr(value)[: PREVIEW // 2]


def _repr(value: "Any") -> str:
    if STATE["calm"] and isinstance(type(value).__repr__, type(_repr)):
        return "<{}>".format(type_name(type(value)))
    return _guarded(repr, value)


def _object(result: "Dict[str, Any]", value: "Any", depth: int) -> None:
    result["preview"] = _repr(value)[:PREVIEW]
    fields = getattr(value, "__dict__", None)
    if depth < 1 and isinstance(fields, dict) and not isinstance(value, (type, type(sys))) and not callable(value):
        result["items"] = [local(str(name), item, depth + 1) for name, item in _first(fields.items())]


def _numeric(result: "Dict[str, Any]", value: "Any") -> bool:
    """pandas and NumPy, through modules that the program has loaded."""
    numpy: "Any" = sys.modules.get("numpy")
    pandas: "Any" = sys.modules.get("pandas")
    if STATE["calm"] and (_is(value, pandas, "DataFrame") or _is(value, pandas, "Series")):
        result["shape"] = [int(size) for size in value.shape]
        result["preview"] = "<{} {}>".format(type(value).__name__, value.shape)
        return True
    if _is(value, pandas, "DataFrame"):
        result["shape"] = [int(size) for size in value.shape]
        result["preview"] = _guarded(repr, value.head(5))[: 3 * PREVIEW]
        result["columns"] = [_column(name, value.iloc[:, i]) for i, name in enumerate(_first_columns(value))]
        return True
    if _is(value, pandas, "Series"):
        result["shape"], result["dtype"] = [len(value)], str(value.dtype)
        result["preview"] = _guarded(repr, value.head(5))[: 3 * PREVIEW]
        result["columns"] = [_column(value.name, value)]
        return True
    if _is(value, numpy, "ndarray"):
        result["shape"], result["dtype"] = [int(size) for size in value.shape], str(value.dtype)
        result["preview"] = _guarded(repr, value if value.size <= 100 else value.reshape(-1)[:20])[:PREVIEW]
        return True
    return False


def _is(value: "Any", module: "Any", name: str) -> bool:
    """Whether it is an instance of a module's class; a program may have put anything in place of either."""
    kind = getattr(module, name, None)
    return isinstance(kind, type) and isinstance(value, kind)


def _first_columns(table: "Any") -> "List[Any]":
    return list(table.columns[:COLUMNS])


def _column(name: "Any", values: "Any") -> "Dict[str, Any]":
    """What a column holds: the profile in which drifted data shows."""
    facts: "Dict[str, Any]" = {"name": str(name), "dtype": str(values.dtype)}
    if len(values) > PROFILED_ROWS:
        values = values.iloc[:PROFILED_ROWS]
    try:
        facts["nulls"] = int(values.isna().sum())
        if values.dtype.kind in "iufb":
            facts["unique"] = int(values.nunique())
            if len(values) > facts["nulls"]:
                facts["min"], facts["max"] = _plain(values.min()), _plain(values.max())
        elif values.dtype.kind == "M":
            facts["min"], facts["max"] = str(values.min()), str(values.max())
        else:
            counts = values.value_counts()
            facts["unique"] = len(counts)
            facts["top"] = {str(key)[:80]: int(count) for key, count in counts.head(ITEMS).items()}
    except Exception as problem:  # noqa: BLE001 - columns of lists, extension types, ...
        facts["note"] = type(problem).__name__
    return facts


def _plain(value: "Any") -> "Any":
    item = getattr(value, "item", None)
    return item() if item is not None else str(value)
