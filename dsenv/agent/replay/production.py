"""What production knew of its frames, for the debugger: `prod.x` is the local `x` of the frame that one is in.

Nothing recorded is executed or unpickled: values are shown as they were described; arrays that were kept are loaded
as npy, without pickles.
"""

from __future__ import annotations

import ast
import os
from types import FrameType
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

_FACTS = ("type", "preview", "length", "shape", "dtype", "columns", "redacted")
_HIDDEN = "(hidden)"


class Value:
    """A recorded value: its repr is what was recorded of it.

    `type`, `length`, `shape`, `dtype` and `columns` are as recorded; `items` are the first items or the fields, also
    by `value[key]` and `value.field`; `value` is the value itself when it is a literal that was recorded whole.
    """

    def __init__(self, local: Dict[str, Any]) -> None:
        self._local = local

    def __repr__(self) -> str:
        return shown(self._local)

    def __getattr__(self, name: str) -> Any:
        if name == "items":
            return {str(item.get("name")): Value(item) for item in self._local.get("items", [])}
        if name == "value":
            return self._literal()
        for item in self._local.get("items", []):
            if item.get("name") == name:
                return Value(item)
        if name in _FACTS and name in self._local:
            return self._local[name]
        raise AttributeError("production recorded no {} of {}".format(name, self._local.get("name", "it")))

    def __getitem__(self, key: Any) -> Value:
        for item in self._local.get("items", []):
            if item.get("name") in (repr(key), str(key)):
                return Value(item)
        raise KeyError("production recorded no item {!r}: only the first ones are kept".format(key))

    def __dir__(self) -> List[str]:
        fields = [str(item.get("name")) for item in self._local.get("items", [])]
        return [*(name for name in _FACTS if name in self._local), "items", "value", *filter(str.isidentifier, fields)]

    def _literal(self) -> Any:
        try:
            return ast.literal_eval(self._local.get("preview", ""))
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            raise AttributeError("it was not recorded whole") from None


def shown(local: Dict[str, Any]) -> str:
    """A value in the words of its record."""
    if local.get("redacted"):
        return _HIDDEN
    text = str(local.get("preview", ""))
    return "".join(char if char.isprintable() or char == "\n" else "\\x{:02x}".format(ord(char)) for char in text)


class Production:
    """The recorded locals of the frame that `where` says: a stack and the index in it.

    Called, it gives that frame as it was recorded: a method with a name would hide a local of that name.
    """

    def __init__(self, told: Dict[str, Any], root: str, where: Callable[[], Tuple[List[FrameType], int]]) -> None:
        self._told, self._root, self._where = told, root, where

    def __getattr__(self, name: str) -> Any:
        for local in self._locals():
            if local.get("name") == name:
                return _array(local, self._told.get("blobs", {})) if local.get("blob") else Value(local)
        raise AttributeError("production has no local {!r} in this frame".format(name))

    def __dir__(self) -> List[str]:
        return [str(local.get("name")) for local in self._locals()]

    def __repr__(self) -> str:
        frame = self()
        if frame is None:
            return "production was not in this function"
        names = ", ".join(dir(self)) or "none were recorded"
        return "production's locals of {}, line {}: {}".format(frame.get("function"), frame.get("line"), names)

    def _locals(self) -> List[Dict[str, Any]]:
        frame = self()
        return frame.get("locals", []) if frame else []

    def __call__(self) -> Optional[Dict[str, Any]]:
        """The recorded frame of the same file and function; of a recursion, the one that is as deep."""
        frames, index = self._where()
        if not 0 <= index < len(frames):
            return None
        wanted = frames[index]
        deeper = sum(frame.f_code is wanted.f_code for frame in frames[index + 1 :])
        found = [frame for frame in self._recorded() if self._same(frame, wanted)]
        return found[min(deeper, len(found) - 1)] if found else None

    def _recorded(self) -> Iterator[Dict[str, Any]]:
        for frames in self._told.get("exceptions", []):
            yield from reversed(frames)

    def _same(self, recorded: Dict[str, Any], frame: FrameType) -> bool:
        code = frame.f_code
        if str(recorded.get("function")).rpartition(".")[2] != code.co_name:
            return False
        here, there = os.path.abspath(code.co_filename), str(recorded.get("file"))
        return here == there or _below(here, self._root) == _below(there, str(self._told.get("root"))) != ""


def _below(path: str, folder: str) -> str:
    prefix = folder.rstrip("/") + "/"
    return path[len(prefix) :] if path.startswith(prefix) else ""


def _array(local: Dict[str, Any], blobs: Dict[str, str]) -> Any:
    """The array itself when it was kept and NumPy is here."""
    file = blobs.get(str(local.get("blob")), "")
    try:
        import numpy

        return numpy.load(file, allow_pickle=False)
    except (ImportError, OSError, ValueError):
        return Value(local)


def differing(recorded: List[Dict[str, Any]], here: List[Dict[str, Any]]) -> Iterator[Tuple[str, str, str]]:
    """The locals that differ: name, production's value, the value here. Of a table, the columns that do."""
    ours = {str(local.get("name")): local for local in here}
    for local in recorded:
        name = str(local.get("name"))
        other: Optional[Dict[str, Any]] = ours.pop(name, None)
        if local.get("redacted"):
            continue
        if other is None:
            yield name, _line(local), "-"
        elif local.get("columns") or other.get("columns"):
            yield from _columns(name, local, other)
        elif _identity(local) != _identity(other):
            yield name, _line(local), _line(other)
    for name, added in ours.items():
        yield name, "-", _line(added)


def _identity(local: Dict[str, Any]) -> Tuple[Any, ...]:
    return tuple(local.get(fact) for fact in ("type", "preview", "length", "shape", "dtype"))


def _line(local: Dict[str, Any]) -> str:
    shape = "x".join(str(size) for size in local.get("shape", []))
    head = "{} {} ".format(local.get("type", ""), shape) if shape else ""
    return head + " ".join(shown(local).split())


def _columns(name: str, local: Dict[str, Any], other: Dict[str, Any]) -> Iterator[Tuple[str, str, str]]:
    if local.get("shape") != other.get("shape"):
        yield name, "shape {}".format(local.get("shape")), "shape {}".format(other.get("shape"))
    ours = {column.get("name"): column for column in other.get("columns", [])}
    for column in local.get("columns", []):
        twin = ours.pop(column.get("name"), None)
        if twin != column:
            yield "{}[{!r}]".format(name, column.get("name")), _profile(column), _profile(twin) if twin else "-"
    for column in ours.values():
        yield "{}[{!r}]".format(name, column.get("name")), "-", _profile(column)


def _profile(column: Dict[str, Any]) -> str:
    nulls = ", {} missing".format(column["nulls"]) if column.get("nulls") else ""
    if isinstance(column.get("top"), dict):
        return ", ".join("{} {}".format(value, count) for value, count in column["top"].items()) + nulls
    if "min" in column:
        return "{} .. {}{}".format(column["min"], column.get("max"), nulls)
    return "{}{}".format(column.get("dtype", ""), nulls)
