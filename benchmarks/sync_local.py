"""`dsenv run` on the embedded workstation beside rsync + ssh to the same server: `python benchmarks/sync_local.py`.

Both sync a generated tree and run `true` there, cold: a new process and a new connection each time. Prints one JSON
line for each case; medians of REPEATS.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

FILES = int(os.environ.get("FILES", "10000"))
REPEATS = int(os.environ.get("REPEATS", "5"))


def make_tree(root: Path) -> None:
    """FILES files in folders of ten, most of them text."""
    dice = random.Random(1)
    for number in range(FILES):
        file = root / f"d{number // 1000}" / f"d{number // 10}" / f"f{number}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        size = dice.randrange(500, 20_000)
        text = number % 5 != 0
        file.write_bytes((b"value = %d\n" % number) * (size // 12) if text else dice.randbytes(size))


def measure(case: str, tool: str, act: Callable[[], None], before: Callable[[], None] = lambda: None) -> None:
    """Run `act` REPEATS times and print the median."""
    times = []
    for _ in range(REPEATS):
        before()
        begun = time.perf_counter()
        act()
        times.append(time.perf_counter() - begun)
    print(
        json.dumps({"case": case, "tool": tool, "files": FILES, "ms": round(1000 * statistics.median(times))}),
        flush=True,
    )


def main() -> None:
    scratch = Path(tempfile.mkdtemp(prefix="dsenv-bench-"))
    os.environ["HOME"] = str(scratch / "home")
    project = scratch / "proj"
    make_tree(project)
    (project / "dsenv.toml").write_text('[project]\nname = "proj"\n[workstations.default]\nserver = "sshd"\n')
    os.chdir(project)
    dsenv = [sys.executable, "-m", "dsenv"]

    def call(*words: str) -> None:
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    call(*dsenv, "up")
    config = str(scratch / "home/.ssh/config")
    ssh = ["ssh", "-F", config, "dsenv-proj-default"]
    changed = project / "d0" / "d0" / "f1.py"

    def run_ours() -> None:
        call(*dsenv, "run", "--progress=none", "--", "true")

    def run_rsync() -> None:
        call("rsync", "-az", "--delete", "-e", f"ssh -F {config}", f"{project}/", "dsenv-proj-default:rsync/")
        call(*ssh, "true")

    def touch() -> None:
        changed.write_text(f"value = {time.time_ns()}\n")

    try:
        begun = time.perf_counter()
        run_ours()
        print(json.dumps({"case": "first", "tool": "dsenv run", "ms": round(1000 * (time.perf_counter() - begun))}))
        begun = time.perf_counter()
        run_rsync()
        print(json.dumps({"case": "first", "tool": "rsync + ssh", "ms": round(1000 * (time.perf_counter() - begun))}))
        for case, before in (("nothing changed", lambda: None), ("one file changed", touch)):
            measure(case, "dsenv run", run_ours, before)
            measure(case, "rsync + ssh", run_rsync, before)
    finally:
        call(*dsenv, "down", "--yes")
        shutil.rmtree(scratch)


if __name__ == "__main__":
    main()
