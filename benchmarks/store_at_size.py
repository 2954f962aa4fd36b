"""How long it takes to list the failed runs of a month in a store with a million records, and how much memory.

    python benchmarks/store_at_size.py [--records N] [--failed SHARE] [--delay MS] [--folder FOLDER] [--than SOURCE]
                                       [--repeat N] [--json]

The index is written in pages, as captures and `dsenv runs prune` gather it; the newest entries are single, as captures
write them. Listing reads nothing but the index, so the records themselves are not made.
`--delay` is how long the S3 endpoint takes for a request. `--than` is a folder with another version of dsenv's source:
it is measured too, in turns with this one.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from indexed_s3 import Figures, Served

from dsenv.agent.store import pages
from dsenv.agent.store.folder import FolderWriter

Row = dict[str, Any]
DAYS = 30
ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
SINGLE = 60  # entries of today that no page holds yet, of each status


def entry(run_id: str, started: int, *, failed: bool) -> bytes:
    """An index entry as a capture writes it."""
    signature = {
        "kind": "exception",
        "type": "ValueError",
        "message": "could not convert string to float: '<n> EUR'",
        "frame": {"file": "train.py", "function": "load", "line": 31, "line_text": "return float(row['price'])"},
        "signal": None,
        "cause": None,
        "exit": None,
    }
    return json.dumps({
        "id": run_id, "status": "failed" if failed else "succeeded", "exit": int(failed), "signal": None,
        "started": started, "ended": started + 60_000_000, "command": ["python", "train.py", "--rows", "1000"],
        "project": "churn", "task": None, "kind": "production", "signature": signature if failed else None,
    }).encode()  # fmt: skip


def fill(folder: Path, records: int, share: float) -> int:
    """Write the index of `records` runs over 30 days; returns how many of them failed."""
    writer = FolderWriter(str(folder))
    begin = int(time.time()) - DAYS * 86_400
    waiting: dict[str, dict[str, bytes]] = {}
    failures = 0
    for number in range(records):
        second = begin + number * DAYS * 86_400 // records
        tail = "".join(ALPHABET[number >> shift & 31] for shift in (0, 5, 10, 15))
        run_id = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(second))}-{number % 1_000_000:06}-{tail}"
        failed = number % round(1 / share) == 0
        failures += failed
        prefix = f"index/{run_id[:4]}/{run_id[4:6]}/{run_id[6:8]}/{'failed' if failed else 'succeeded'}/"
        lines = waiting.setdefault(prefix, {})
        lines[run_id] = entry(run_id, second * 1_000_000, failed=failed)
        if len(lines) == pages.ENTRIES:
            pages.write(writer, prefix, waiting.pop(prefix))
    today = max(waiting)[: len("index/yyyy/mm/dd/")]
    for prefix, lines in waiting.items():
        single = dict(sorted(lines.items())[-SINGLE:]) if prefix.startswith(today) else {}
        pages.write(writer, prefix, {run_id: line for run_id, line in lines.items() if run_id not in single})
        for run_id, line in single.items():
            writer.put(f"{prefix}{run_id}.json", line)
    return failures


@dataclasses.dataclass
class Listed:
    """One `dsenv runs --json`: seconds to its first run, to its end, and of processor; peak memory; number of runs."""

    first: float
    whole: float
    cpu: float
    peak_mb: float
    runs: int


def listing(source: Path, store: str, environ: dict[str, str], *options: str) -> Listed:
    """Run it as a user would, with nothing but the end of its output in our memory."""
    command = [sys.executable, "-m", "dsenv", "runs", "--store", store, "--json", *options]
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environ, cwd=source)
    assert process.stdout is not None
    first, runs = 0.0, 0
    for line in process.stdout:
        if line.startswith(b'    {"id"'):
            first = first or time.perf_counter() - begun
            runs += 1
    _, status, usage = os.wait4(process.pid, 0)
    whole = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return Listed(first, whole, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, runs)


def measured(sources: dict[str, Path], store: str, environ: dict[str, str], server: Served, times: int) -> list[Row]:
    """The best of several listings of each version, by turns, with what the server did meanwhile."""
    rows: list[Row] = []
    for words in (["--failed", "--since", "31d"], ["--failed"], []):
        best: dict[str, tuple[Listed, Figures]] = {}
        for name, source in list(sources.items()) * times:
            server.figures()
            found = listing(source, store, environ, *words), server.figures()
            best[name] = min(best.get(name, found), found, key=lambda pair: pair[0].whole)
        for name, (found, figures) in best.items():
            row = {"version": name, "store": "s3" if "://" in store else "folder", "options": " ".join(words)}
            row |= {key: round(value, 2) for key, value in dataclasses.asdict(found).items()}
            if "://" in store:
                row |= {"requests": figures.requests, "mb": round(figures.bytes / 1e6, 2),
                        "at_once": figures.most, "server_cpu": round(figures.cpu, 2)}  # fmt: skip
            rows.append(row)
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--failed", type=float, default=0.01)
    parser.add_argument("--delay", type=float, default=20.0)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--than", type=Path)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        begun = time.perf_counter()
        failures = fill(folder, options.records, options.failed) if not (folder / "index").is_dir() else 0
        print(
            f"wrote {options.records:,} entries in {time.perf_counter() - begun:.0f} s, {failures:,} failed",
            file=sys.stderr,
        )
        sources = {"then": options.than} if options.than else {}
        sources["now"] = Path(__file__).parents[1]
        server = Served(folder, "bench", options.delay / 1000)
        keys = {"AWS_ENDPOINT_URL": server.url, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
        environ = os.environ | keys | {"AWS_REGION": "x-1", "AWS_DEFAULT_REGION": "x-1"}
        rows = [
            row
            for store in (str(folder), "s3://bench")
            for row in measured(sources, store, environ, server, options.repeat)
        ]
        server.stop()
    print(json.dumps(rows, indent=2) if options.json else "\n".join(map(str, rows)))


if __name__ == "__main__":
    main()
