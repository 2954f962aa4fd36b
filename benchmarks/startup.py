"""How long commands take to start, as whole processes: `python benchmarks/startup.py`.

Asked: `dsenv --help` at most 150 ms. A bare interpreter is measured in the same run, because machines differ.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

DSENV = str(Path(sys.executable).with_name("dsenv"))
CASES = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "dsenv --help": [DSENV, "--help"],
    "dsenv --version": [DSENV, "--version"],
    "dsenv run --help": [DSENV, "run", "--help"],
    "dsenv runs --json": [DSENV, "runs", "--json"],
}


def milliseconds(command: list[str], rounds: int = 15) -> list[float]:
    """Wall time of each round."""
    found = []
    for _ in range(rounds):
        begun = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        found.append((time.perf_counter() - begun) * 1000)
    return found


def main() -> None:
    """Print minimum, median and maximum of each case."""
    for name, command in CASES.items():
        times = milliseconds(command)
        print(f"{name:20} {min(times):7.0f} {statistics.median(times):7.0f} {max(times):7.0f} ms")


if __name__ == "__main__":
    main()
