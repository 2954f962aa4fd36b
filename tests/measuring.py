"""Coverage is measured in every Python that a test starts, unless it is one that a program of the user's plays."""

from __future__ import annotations

import os


def unmeasured() -> dict[str, str]:
    """The environment without the measuring of coverage, which reads, writes, draws and prints in every Python."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}


def measuring() -> dict[str, str]:
    """What lets coverage be measured in a Python that gets nothing else of this environment."""
    return {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
