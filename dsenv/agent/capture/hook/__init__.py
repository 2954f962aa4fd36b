"""What runs inside the command's own Python. Nothing here may import dsenv: the files are copied beside the run.

`entry.py` becomes sitecustomize, and finds the others in one file; `program.py`, with the modules that it imports,
runs at every start of a Python; `failure.py` is read then, and compiled only when something fails; `on_*.py` follow
the import of a library.
"""

from __future__ import annotations

import os
import sys
from marshal import dumps
from typing import Any, Optional, Sequence, Tuple

_HEADER = 16  # of a .pyc: magic number, flags, and what says whether it is fresh (PEP 552)
_MARSHAL = 4  # the format that every Python from 3.4 on reads
_UNCHECKED = (1).to_bytes(4, "little") + bytes(8)


def source(name: str) -> bytes:
    """The text of one of these files, also from inside an archive."""
    loader: Any = getattr(sys.modules[__name__].__spec__, "loader", None)
    data: bytes = loader.get_data(__file__.rpartition("__init__")[0] + name)
    return data


def byte_code(name: str) -> Optional[bytes]:
    """What Python would compile one of these files to, as a .pyc that counts for wherever its source is copied to.

    None when nobody has compiled it for this Python: whoever runs it does. Compiling all of them takes ten
    milliseconds of every command's start.
    """
    loader: Any = getattr(sys.modules[__name__].__spec__, "loader", None)
    folder = __file__.rpartition("__init__")[0]
    try:
        data: bytes = loader.get_data(folder + name + "c")  # an archive carries them beside the source
        fresh = True
    except OSError:
        cached = "{}__pycache__/{}.{}.pyc".format(folder, name[: -len(".py")], sys.implementation.cache_tag)
        try:
            data = loader.get_data(cached)
            info = os.stat(folder + name)
        except OSError:
            return None
        state = (int(info.st_mtime) & 0xFFFFFFFF, info.st_size & 0xFFFFFFFF)
        fresh = data[4:_HEADER] == bytes(4) + b"".join(number.to_bytes(4, "little") for number in state)
    magic: bytes = sys.modules["_frozen_importlib_external"].MAGIC_NUMBER
    return magic + _UNCHECKED + data[_HEADER:] if fresh and data[:4] == magic else None


def parts(names: Sequence[str]) -> Tuple[bytes, Optional[bytes]]:
    """The modules as `entry.Parts` reads them: as texts, and as byte code of this Python, if it has that of all."""
    texts = {name: source(name + ".py").decode() for name in names}
    codes = {name: byte_code(name + ".py") for name in names}
    whole = {name: code[_HEADER:] for name, code in codes.items() if code is not None}
    return dumps(texts, _MARSHAL), dumps(whole, _MARSHAL) if len(whole) == len(texts) else None
