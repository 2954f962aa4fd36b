"""The folders that a Python environment lives in, read from its links: none of them is run."""

from __future__ import annotations

import os
from pathlib import Path


def folders(prefix: str) -> list[str]:
    """The environment's folder, and those of the interpreters that its `bin/python` leads to, link by link."""
    if not prefix:
        return []
    found = [prefix]
    step = Path(prefix) / "bin" / "python"
    for _ in range(40):
        real = Path(os.path.realpath(step.parent)) / step.name
        found += [os.fspath(step.parent.parent), os.fspath(real.parent.parent)]
        if not step.is_symlink():
            break
        step = Path(os.path.normpath(real.parent / real.readlink()))
    return list(dict.fromkeys(found))
