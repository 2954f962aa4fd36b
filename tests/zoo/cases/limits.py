"""What a machine allows and says: memory, files, processors, stack, time zone, encoding, umask."""

from __future__ import annotations

import os
import shutil
import sys
from functools import cache
from pathlib import Path

from dsenv.agent.replay import cgroup
from tests.zoo.case import Case

_WITHIN = os.fspath(Path(__file__).parents[1] / "within.py")


@cache
def _groups() -> bool:
    return sys.platform == "linux" and cgroup.available("memory")


def _linux() -> bool:
    return sys.platform == "linux" and shutil.which("prlimit") is not None


def _two_processors() -> bool:
    return _linux() and len(os.sched_getaffinity(0)) > 1


CASES = (
    Case(
        "out_of_memory",
        ("{python}", "grow.py", "20"),
        signal="SIGKILL",
        exit=None,
        cause="out-of-memory",
        program="memory",
        around=("{python}", _WITHIN, "250000000"),
        needs=_groups,
    ),
    Case(
        "address_space",
        ("{python}", "grow.py", "50"),
        type="MemoryError",
        message="",
        file="grow.py",
        function="load",
        line_text='blocks.append(bytearray(b"x" * (megabytes << 20)))',
        program="memory",
        around=("prlimit", "--as=700000000:"),
        needs=_linux,
    ),
    Case(
        "open_files",
        ("{python}", "spread.py"),
        type="OSError",
        message="[Errno <n>] Too many open files: '<path>'",
        file="spread.py",
        function="spread",
        line_text='return [stack.enter_context(open("/dev/null")) for _ in range(200)]',
        around=("prlimit", "--nofile=64:64"),
        needs=_linux,
    ),
    Case(
        "file_size",
        ("dd", "if=/dev/zero", "of=big", "bs=1M", "count=8", "status=none"),
        signal="SIGXFSZ",
        exit=None,
        program="file_size",
        around=("prlimit", "--fsize=4194304:"),
        needs=_linux,
    ),
    Case(
        "stack",
        ("{python}", "nested.py"),
        signal="SIGSEGV",
        exit=None,
        around=("prlimit", "--stack=400000:"),
        needs=_linux,
        silent=False,
    ),
    Case(
        "processors",
        ("{python}", "shards.py"),
        type="ZeroDivisionError",
        message="integer division or modulo by zero",
        file="shards.py",
        function="rows_of",
        line_text="return rows // (workers - 1)",
        around=("taskset", "-c", "0"),
        needs=_two_processors,
    ),
    Case(
        "time_zone",
        ("{python}", "daily.py"),
        type="KeyError",
        message="'<n>-<n>-<n>'",
        file="daily.py",
        function="of_day",
        line_text='return days[time.strftime("%Y-%m-%d", time.localtime(0))]',
        env=(("TZ", "America/New_York"),),
    ),
    Case(
        "encoding",
        ("{python}", "names.py"),
        type="UnicodeDecodeError",
        message="'ascii' codec can't decode byte <address> in position <n>: ordinal not in range(<n>)",
        file="names.py",
        function="read",
        line_text="return file.read().split()",
        env=(("LC_ALL", "C"), ("PYTHONUTF8", "0"), ("PYTHONCOERCECLOCALE", "0")),
        inputs=("names.txt",),
    ),
    Case(
        "umask",
        ("{python}", "share.py"),
        type="PermissionError",
        message="nobody else can read it: mode <n>",
        file="share.py",
        function="check",
        line_text='raise PermissionError(f"nobody else can read it: mode {mode:o}")',
        around=("sh", "-c", 'umask 077; exec "$@"', "sh"),
    ),
)
