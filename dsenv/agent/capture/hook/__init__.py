"""What runs inside the command's own Python. Nothing here may import dsenv: the files are copied beside the run.

`entry.py` becomes sitecustomize, and finds the others in one file; `program.py`, with the modules that it imports,
runs at every start of a Python; `failure.py` is read then, and compiled only when something fails; `on_*.py` follow
the import of a library.
"""

from __future__ import annotations

import os
import sys
from marshal import dumps, loads

TYPE_CHECKING = False  # this is loaded before the command starts, typing after it if at all
if TYPE_CHECKING:
    from typing import Any, Dict, Mapping, Optional

NAMES = (
    *("children", "draws", "ending", "events", "files", "held", "imports", "listing", "on_aiobotocore", "on_blas"),
    *("on_botocore", "on_click", "on_fsspec", "on_ipython", "on_logging", "on_native", "on_numpy", "on_random"),
    *("on_rich", "on_sqlite3", "on_threading", "on_torch", "opener", "on_workers", "processes", "program", "stacks"),
    "tracebacks",
)
ALONE = {"sitecustomize": "entry", "failure": "failure"}  # read by themselves, the others as one
TAG = str(sys.implementation.cache_tag)
PREPARED = "files." + TAG  # in an archive: what `contents` returns, behind the magic number of its Python
_MAGIC: bytes = sys.modules["_frozen_importlib_external"].MAGIC_NUMBER
_HEADER = 16  # of a .pyc: magic number, flags, and what says whether it is fresh (PEP 552)
_MARSHAL = 4  # the format that every Python from 3.4 on reads
_UNCHECKED = (1).to_bytes(4, "little") + bytes(8)  # it counts for wherever its source is copied to


def contents() -> Dict[str, bytes]:
    """What the folder of the hook begins with, by path in it."""
    try:
        data = _read(PREPARED)
        if data[:4] == _MAGIC:
            prepared: Dict[str, bytes] = loads(memoryview(data)[4:])  # noqa: S302 - made with the archive
            return prepared
    except (OSError, EOFError, ValueError, TypeError):
        pass
    names = [*ALONE.values(), *NAMES]
    return arranged({name: _read(name + ".py") for name in names}, {name: _compiled(name) for name in names})


def arranged(texts: Mapping[str, bytes], codes: Mapping[str, Optional[bytes]]) -> Dict[str, bytes]:
    """The files, made of the source and the marshalled code of each of ours, None where nobody has compiled it.

    Whoever runs it does, then: compiling all of them takes ten milliseconds of every command's start.
    """
    found: Dict[str, bytes] = {}
    for name, own in ALONE.items():
        found[name + ".py"] = texts[own]
        code = codes[own]
        if code is not None:
            found["__pycache__/{}.{}.pyc".format(name, TAG)] = _MAGIC + _UNCHECKED + code
    found["parts"] = dumps({name: texts[name].decode() for name in NAMES}, _MARSHAL)
    whole = {name: codes[name] for name in NAMES}
    if None not in whole.values():
        found["parts." + TAG] = dumps(whole, _MARSHAL)
    return found


def _compiled(name: str) -> Optional[bytes]:
    """What Python has compiled one of these files to, where it keeps that, unless the file was changed since."""
    try:
        data = _read("__pycache__/{}.{}.pyc".format(name, TAG))
        info = os.stat(_place(name + ".py"))
    except OSError:
        return None
    state = (int(info.st_mtime) & 0xFFFFFFFF, info.st_size & 0xFFFFFFFF)
    fresh = data[4:_HEADER] == bytes(4) + b"".join(number.to_bytes(4, "little") for number in state)
    return data[_HEADER:] if fresh and data[:4] == _MAGIC else None


def _read(name: str) -> bytes:
    """One of these files, also from inside an archive. Raises OSError."""
    loader: Any = getattr(sys.modules[__name__].__spec__, "loader", None)
    data: bytes = loader.get_data(_place(name))
    return data


def _place(name: str) -> str:
    return __file__.rpartition("__init__")[0] + name
