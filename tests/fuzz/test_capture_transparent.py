"""Small programs in odd surroundings do the same, byte for byte, with and without capture before them.

`DSENV_FUZZ=N` sets how many. What still differs is shrunk to the least that does, and shown as a case to be pasted.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.fuzz import comparing, programs

COUNT = int(os.environ.get("DSENV_FUZZ", "45"))


@pytest.mark.slow
@pytest.mark.timeout(300 + 2 * COUNT)
@pytest.mark.skipif(os.getuid() != 0 or sys.platform != "linux", reason="namespaces need root")
def test_programs_do_the_same_when_they_are_captured(tmp_path: Path) -> None:
    for seed in range(COUNT):
        case = programs.draw(seed)
        folder = tmp_path / str(seed)
        if comparing.differences(case, folder):
            least = comparing.shrunk(case, tmp_path / "shrunk")
            told = comparing.differences(least, tmp_path / "least")
            pytest.fail(f"seed {seed}: {least}\n" + "\n".join(told))
        shutil.rmtree(folder)


def test_a_difference_is_seen(tmp_path: Path) -> None:
    """That the comparison can fail: a program that tells its parent's name."""
    case = programs.Case([["become", ["sh", "-c", "cat /proc/$PPID/cmdline | grep -c capture"]]])
    assert comparing.differences(case, tmp_path)
