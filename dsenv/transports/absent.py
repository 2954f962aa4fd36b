"""Import a library without one that it can do without."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import cast


@contextmanager
def absent(name: str) -> Iterator[None]:
    """Within the block, `import name` fails as if it were not installed. One that is loaded already is left alone."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = cast(ModuleType, None)  # the import system's own way to say no
    try:
        yield
    finally:
        del sys.modules[name]
