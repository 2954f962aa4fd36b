"""What runs inside the command's own Python. Nothing here may import dsenv: the files are copied beside the run.

`entry.py` becomes sitecustomize; `program.py`, with the modules that it imports, runs at every start of a Python;
`failure.py` is read then, and compiled only when something fails.
"""

from __future__ import annotations

import sys
from typing import Any


def source(name: str) -> bytes:
    """The text of one of these files, also from inside an archive."""
    loader: Any = getattr(sys.modules[__name__].__spec__, "loader", None)
    data: bytes = loader.get_data(__file__.rpartition("__init__")[0] + name)
    return data
