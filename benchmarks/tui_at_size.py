"""How long the TUI holds a key up with 10,000 failed runs and with an output of a gigabyte.

    python benchmarks/tui_at_size.py [--runs N] [--output MB] [--json]

Keys are pressed through textual's pilot, which waits until the screen is up to date. A key that takes 100 ms is felt.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from store_at_size import fill
from textual.pilot import Pilot

from dsenv.agent.schema import OUTPUT_HEADER
from dsenv.testing.records import RecordBuilder
from dsenv.tui.app import DsenvApp


async def keys(pilot: Pilot[int], *pressed: str) -> dict[str, float]:
    """Milliseconds that keys took: median and longest."""
    times = []
    for key in pressed:
        begun = time.perf_counter()
        await pilot.press(key)
        times.append((time.perf_counter() - begun) * 1000)
    return {"median_ms": round(statistics.median(times)), "longest_ms": round(max(times))}


async def runs(store: Path, rows: list[dict[str, Any]]) -> None:
    """The list of failed runs."""
    app = DsenvApp(None, str(store))
    begun = time.perf_counter()
    async with app.run_test(size=(120, 36)) as pilot:
        while not app.state.loaded:
            await asyncio.sleep(0.005)
        rows.append({"what": "first rows", "seconds": round(time.perf_counter() - begun, 2)})
        while app._lister.busy:
            await asyncio.sleep(0.005)
        await pilot.pause()
        rows.append({"what": f"{len(app.state.runs):,} runs", "seconds": round(time.perf_counter() - begun, 2)})
        rows.append({"what": "scroll", **await keys(pilot, *["down"] * 50, "end", "home", *["pagedown"] * 50)})
        await pilot.press("slash")
        rows.append({"what": "filter", **await keys(pilot, *"train")})


async def output(store: Path, rows: list[dict[str, Any]]) -> None:
    """The output of one run."""
    app = DsenvApp("last", str(store))
    async with app.run_test(size=(120, 36)) as pilot:
        begun = time.perf_counter()
        while not app.state.details:
            await asyncio.sleep(0.005)
        rows.append({"what": "its end is there", "seconds": round(time.perf_counter() - begun, 2)})
        await pilot.press("2")
        while app.state.lines is None:
            await asyncio.sleep(0.005)
        rows.append(
            {"what": f"{app.state.lines.count:,} lines found", "seconds": round(time.perf_counter() - begun, 2)}
        )
        app.screen.query_one("#text").focus()
        rows.append({"what": "scroll it", **await keys(pilot, "home", "end", *["pageup", "up"] * 40, "home", "end")})


def write_output(folder: Path, megabytes: int) -> None:
    """A record with a long output."""
    builder = RecordBuilder(folder)
    file = builder.write() / "output"
    lines = b"".join(b"%06d epoch 3 step 1200 loss 0.3412 acc 0.87 some words of a log line\n" % n for n in range(100))
    chunk = OUTPUT_HEADER.pack(1, builder.record["started"], len(lines)) + lines
    with file.open("wb") as out:
        for _ in range(megabytes * 1_000_000 // len(chunk)):
            out.write(chunk)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--output", type=int, default=1000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    sys.setswitchinterval(0.0005)  # as the application sets it
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder / "many", options.runs, 1.0)
        asyncio.run(runs(folder / "many", rows))
        write_output(folder / "long", options.output)
        asyncio.run(output(folder / "long", rows))
    print(json.dumps(rows, indent=2) if options.json else "\n".join(map(str, rows)))


if __name__ == "__main__":
    main()
