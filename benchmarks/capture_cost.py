"""What `capture` costs, beside the same program without it, in one run.

    python benchmarks/capture_cost.py [--repeat N] [--python PATH] [--only TEXT] [--json] [--check [--slack FACTOR]]

Bare and captured runs alternate, so that a busy machine disturbs both alike; the least of each is compared, because
noise only ever adds. Three costs are shown: the wall clock of the whole command, the processor time of all its
processes and ours, and the processor time of the program's own part, by which arithmetic and allocation are judged:
the clock of a shared machine is no judge of one per cent. `memory` is what the largest process of the tree has more.

Budgets: 60 ms of wall clock for a whole trivial command, 1 % of the program's own time for arithmetic and 5 % for
allocation, 25 MB of capture itself. Processor time at start-up has none: most of it is spent beside the command.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from dsenv import resources

PROGRAMS = {
    "start-up": "",
    "arithmetic": "x = 0.5\nfor i in range(10_000_000): x = x * 0.99 + i % 7",
    "pickle and deepcopy": (
        "import copy, pickle\nrows = [{'a': i, 'b': str(i), 'c': [i, i + 1]} for i in range(20_000)]\nBEGIN()\n"
        "for _ in range(3):\n copy.deepcopy(rows); pickle.loads(pickle.dumps(rows))\n"
        " pickle._loads(pickle._dumps(rows[:2000]))"
    ),
    "open 200 small files, 20 times each": (
        "import os, tempfile\nd = tempfile.mkdtemp(dir=os.getcwd())\nnames = [f'{d}/{n}' for n in range(200)]\n"
        "for n in names: os.close(os.open(n, os.O_CREAT | os.O_WRONLY, 0o600))\nBEGIN()\n"
        "for _ in range(20):\n for n in names: open(n).close()"
    ),
    "read 200 files of 100 KB once": ("BEGIN()\nfor n in range(200):\n with open(f'../data/{n}', 'rb') as f: f.read()"),
}
# Of these the time of the whole command counts.
WHOLE = {
    "fail with 200 MB of locals": (
        "def work():\n blob = bytearray(100 << 20)\n rows = [{'a': i} for i in range(300_000)]\n"
        " text = 'x' * (50 << 20)\n raise SystemExit(0 if not blob else 'failed')\nwork()"
    ),
    "a project of 3,000 files": "pass",
}
BUDGETS = (
    ("start-up", "wall_added_ms", 60),
    ("arithmetic", "own_added_percent", 1),
    ("pickle and deepcopy", "own_added_percent", 5),
)
CAPTURE_MB = 25
SILENT = subprocess.DEVNULL
HEAD = "import time\nt = time.process_time()\ndef BEGIN():\n global t\n t = time.process_time()\n"
TAIL = "\nprint(time.process_time() - t)\n"


class Cost(NamedTuple):
    """Of one run: seconds on the clock, of processors by the whole tree, of processors by the program's own part."""

    wall: float
    processors: float
    own: float
    resident: int  # bytes, the most that one process of the tree had


def measure(argv: list[str], folder: Path, *, whole: bool) -> Cost:
    """Run once."""
    begun = time.perf_counter()
    with subprocess.Popen(argv, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=SILENT) as process:
        assert process.stdout is not None
        said = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - begun
    processors = used.ru_utime + used.ru_stime
    return Cost(wall, processors, processors if whole else float(said), used.ru_maxrss * 1024)


def memory(argv: list[str], folder: Path) -> float:
    """MB, the most that our own process had, beside the command's."""
    with subprocess.Popen(argv, cwd=folder, stdin=subprocess.DEVNULL) as process:
        most = 0
        while process.poll() is None:
            with contextlib.suppress(OSError, IndexError):
                most = max(most, int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]))
            time.sleep(0.005)
    return round(most * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


def prepare(folder: Path) -> None:
    """A small project: what a snapshot has to do is part of the cost."""
    (folder / "pyproject.toml").write_text("[project]\nname = 'bench'\n")
    for number in range(40):
        (folder / f"module_{number}.py").write_text("VALUE = 1\n" * 100)
    data = folder.parent / "data"
    data.mkdir()
    for number in range(200):
        (data / str(number)).write_bytes(os.urandom(100_000))
    for name, body in PROGRAMS.items():
        (folder / f"case_{name.split()[0]}.py").write_text(HEAD + body + TAIL if name != "start-up" else "pass\n")
    for name, body in WHOLE.items():
        place = folder.parent / name.split()[-1]
        (place / "files").mkdir(parents=True)
        (place / "pyproject.toml").write_text("[project]\nname = 'bench'\n")
        (place / "case.py").write_text(body + "\n")
        for number in range(3000 if name.endswith("files") else 0):
            (place / "files" / f"module_{number}.py").write_text(f"VALUE = {number}\n" * 20)
    (folder / "agent.pyz").write_bytes(resources.agent_archive())


def main() -> int:
    """Measure and print. Returns 1 when a budget does not hold and that was asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=15)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a budget does not hold")
    parser.add_argument("--slack", type=float, default=1.0, help="by how much a budget may be exceeded")
    parser.add_argument("--only", default="", help="rows whose names have this")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve() / "project"
        folder.mkdir()
        prepare(folder)
        agent = [
            options.python,
            "-I",
            "-S",
            str(folder / "agent.pyz"),
            "capture",
            "--store",
            str(folder / ".store"),
            "--",
        ]
        rows = [compare(title, options, agent, folder) for title in (*PROGRAMS, *WHOLE) if options.only in title]
        own = memory([*agent, options.python, "-c", "import time; time.sleep(1)"], folder)
    broken = list(exceeded(rows, own, options.slack))
    if options.json:
        print(json.dumps({"rows": rows, "capture_mb": own, "exceeded": broken}, indent=2))
    else:
        show(rows, own)
        print(*broken, sep="\n")
    return 1 if options.check and broken else 0


def compare(title: str, options: argparse.Namespace, agent: list[str], folder: Path) -> dict[str, Any]:
    """One row: the same program bare and captured, in turns."""
    whole = title == "start-up" or title in WHOLE
    place = folder.parent / title.rsplit(maxsplit=1)[-1] if title in WHOLE else folder
    command = [options.python, "case.py" if title in WHOLE else f"case_{title.split(maxsplit=1)[0]}.py"]
    bare: list[Cost] = []
    captured: list[Cost] = []
    for _ in range(options.repeat):
        bare.append(measure(command, place, whole=whole))
        captured.append(measure([*agent, *command], place, whole=whole))
    row: dict[str, Any] = {"what": title}
    for part in ("wall", "processors", "own"):
        least = [min(getattr(cost, part) for cost in costs) for costs in (bare, captured)]
        row[f"{part}_bare_ms"], row[f"{part}_captured_ms"] = (round(value * 1000, 1) for value in least)
        row[f"{part}_added_ms"] = round((least[1] - least[0]) * 1000, 1)
    row["own_added_percent"] = round(row["own_added_ms"] / row["own_bare_ms"] * 100, 1)
    row["resident_added_mb"] = round((min(c.resident for c in captured) - min(c.resident for c in bare)) / 1e6, 1)
    return row


def exceeded(rows: list[dict[str, Any]], own: float, slack: float) -> Iterator[str]:
    """The budgets that do not hold, as sentences."""
    for row in rows:
        for what, part, budget in BUDGETS:
            if row["what"] == what and row[part] > budget * slack:
                yield f"{what}: {part} is {row[part]}, asked are at most {budget}"
    if own > CAPTURE_MB * slack:
        yield f"capture has {own} MB, asked are at most {CAPTURE_MB}"


def show(rows: list[dict[str, Any]], own: float) -> None:
    """As a table for people."""
    print(f"{'':38}{'wall clock, ms':>22}{'processors, ms':>22}{'the program, ms':>26}{'memory':>10}")
    for row in rows:
        parts = "".join(f"{row[f'{p}_bare_ms']:>12} {row[f'{p}_added_ms']:>+9}" for p in ("wall", "processors", "own"))
        print(f"{row['what']:38}{parts} {row['own_added_percent']:>+5}% {row['resident_added_mb']:>+6} MB")
    print(f"{'memory of capture itself':38}{own:>12} MB")


if __name__ == "__main__":
    sys.exit(main())
