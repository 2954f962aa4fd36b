"""A moved clock, in Pythons of their own: what a program asks has moved, what it has is what it was."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dsenv.agent import interpreters

PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
import datetime, pickle, time
early = datetime.datetime
before = time.time()
from dsenv.agent.replay import clock
clock.install(-86_400_000_000 * 365)
ago = 86_400 * 365
assert abs(before - time.time() - ago) < 60 and abs(time.time_ns() / 1e9 - time.time()) < 60
assert abs(time.clock_gettime(time.CLOCK_REALTIME) - time.time()) < 60
assert abs(time.clock_gettime_ns(time.CLOCK_REALTIME) / 1e9 - time.time()) < 60
assert time.clock_gettime(time.CLOCK_MONOTONIC) - time.monotonic() < 60
year = time.gmtime(before - ago).tm_year
utc, now = datetime.timezone.utc, datetime.datetime.now
assert {now(utc).year, now(tz=utc).year, early.utcnow().year, datetime.date.today().year,
        datetime.datetime.today().year, time.gmtime().tm_year, time.localtime(None).tm_year,
        int(time.strftime("%Y")), int(time.ctime()[-4:]), int(time.asctime()[-4:])} <= {year, year + 1}
assert abs((now() - datetime.datetime.fromtimestamp(time.time())).total_seconds()) < 60
assert abs((now(utc) - datetime.datetime.fromtimestamp(time.time(), utc)).total_seconds()) < 60
assert time.gmtime(0).tm_year == 1970 and time.strftime("%Y", time.gmtime(0)) == "1970"
assert datetime.datetime is early and type(now()) is early and isinstance(now(), datetime.date)
assert pickle.loads(pickle.dumps(now())).year == now().year and pickle.loads(pickle.dumps(early)) is early
class Mine(datetime.datetime):
    pass
assert type(Mine.now()) is Mine and type(Mine.now(utc)) is Mine and type(Mine.utcnow()) is Mine
try:
    now("UTC")
except TypeError as error:
    assert "tzinfo" in str(error)
else:
    raise AssertionError
assert time.time.__name__ == "time" and time.localtime.__doc__
print("moved")
"""


@pytest.mark.parametrize("version", ["3.9", "3.10", "3.11", "3.12", "3.13"])
def test_every_way_to_ask_is_moved(version: str) -> None:
    python = sys.executable if sys.version_info[:2] == tuple(map(int, version.split("."))) else _python(version)
    done = subprocess.run(
        [python, "-W", "ignore", "-c", PROGRAM, str(Path(__file__).parents[4])],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("moved\n", "")


def _python(version: str) -> str:
    found = interpreters.find(version, os.environ)
    if found is None:
        pytest.skip(f"Python {version} is not here")
    return found[0]
