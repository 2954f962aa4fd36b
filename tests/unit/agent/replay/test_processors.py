"""What a program is told of the processors is what the recorded one was told."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.measuring import measuring

_ASK = """
import json, os, sys
from dsenv.agent import replay
replay.install({"processors": {"count": 64, "usable": 16}})
told = [os.cpu_count(), len(os.sched_getaffinity(0)), os.cpu_count.__module__, os.cpu_count.__name__]
one = {min(os.sched_getaffinity(os.getppid()))}
os.sched_setaffinity(0, one)
print(json.dumps([told, len(os.sched_getaffinity(0))]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells which processors may be used")
def test_a_program_is_told_of_the_recorded_processors() -> None:
    environ = {"PYTHONPATH": str(Path(__file__).parents[4]), **measuring()}
    done = subprocess.run([sys.executable, "-c", _ASK], env=environ, check=True, capture_output=True)
    told, chosen = json.loads(done.stdout)
    assert told == [64, 16, "posix", "cpu_count"]
    assert chosen == 1
