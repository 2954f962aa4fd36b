"""What `capture` costs, beside the same program without it, in one run.

    python benchmarks/capture_cost.py [--repeat N] [--python PATH] [--json]

Bare and captured runs alternate, so that a busy machine disturbs both alike; the best of each is compared, because
noise only ever adds time. `start-up` is the whole command; the other rows are the processor time of the program itself,
and the last ones the whole command again.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from dsenv import resources

PROGRAMS = {
    "start-up": "",
    "arithmetic": "x = 0.5\nfor i in range(3_000_000): x = x * 0.99 + i % 7",
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
HEAD = "import time\nt = time.process_time()\ndef BEGIN():\n global t\n t = time.process_time()\n"
TAIL = "\nprint(time.process_time() - t)\n"


def measure(argv: list[str], folder: Path, *, whole: bool) -> float:
    """Seconds of one run: of the whole command, or what the program says."""
    begun = time.perf_counter()
    done = subprocess.run(argv, cwd=folder, check=not whole, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return time.perf_counter() - begun if whole else float(done.stdout)


def memory(argv: list[str], folder: Path) -> dict[str, object]:
    """The most memory that our own process had, beside the command's."""
    with subprocess.Popen(argv, cwd=folder, stdin=subprocess.DEVNULL) as process:
        most = 0
        while process.poll() is None:
            with contextlib.suppress(OSError, IndexError):
                most = max(most, int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]))
            time.sleep(0.005)
    return {"what": "memory of capture itself", "mb": round(most * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)}


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


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=15)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows: list[dict[str, object]] = []
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
        for title in (*PROGRAMS, *WHOLE):
            whole = title == "start-up" or title in WHOLE
            place = folder.parent / title.split()[-1] if title in WHOLE else folder
            command = [options.python, "case.py" if title in WHOLE else f"case_{title.split()[0]}.py"]
            bare: list[float] = []
            captured: list[float] = []
            for _ in range(options.repeat):
                bare.append(measure(command, place, whole=whole))
                captured.append(measure([*agent, *command], place, whole=whole))
            rows.append({
                "what": title,
                "bare_ms": round(min(bare) * 1000, 1),
                "captured_ms": round(min(captured) * 1000, 1),
                "added_ms": round((min(captured) - min(bare)) * 1000, 1),
                "added_percent": round((min(captured) / min(bare) - 1) * 100, 1),
                "median_added_ms": round((statistics.median(captured) - statistics.median(bare)) * 1000, 1),
            })  # fmt: skip
        rows.append(memory([*agent, options.python, "-c", "import time; time.sleep(0.5)"], folder))
    if options.json:
        print(json.dumps(rows, indent=2))
        return
    print(f"{'':38} {'bare':>9} {'captured':>10} {'added':>9} {'':>7} {'added (median)':>15}")
    for row in rows[:-1]:
        print(
            f"{row['what']:38} {row['bare_ms']:>6} ms {row['captured_ms']:>7} ms {row['added_ms']:>6} ms"
            f" {row['added_percent']:>6}% {row['median_added_ms']:>12} ms"
        )
    print(f"{rows[-1]['what']:38} {rows[-1]['mb']:>6} MB")


if __name__ == "__main__":
    main()
