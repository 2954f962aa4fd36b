"""A capture keeps the index readable beside its command, and stops when the command ends."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
import zlib
from pathlib import Path

from dsenv.agent.store import pages
from dsenv.agent.store.folder import FolderWriter
from dsenv.runs import index
from dsenv.runs.store.folder import FolderStore

TAILS = ("".join(letters) for letters in itertools.product("abcd", repeat=4))


def test_one_of_many_captures_gathers_the_entries_of_today(tmp_path: Path) -> None:
    store = tmp_path / "store"
    writer = FolderWriter(str(store))
    day = time.strftime("%Y%m%d", time.gmtime())
    ids = [f"{day}T0000{n // 60:02}-{n:06}-abcd" for n in range(pages.ENOUGH)]
    prefix = f"index/{day[:4]}/{day[4:6]}/{day[6:]}/failed/"
    for run_id in ids:
        writer.put(f"{prefix}{run_id}.json", json.dumps({"id": run_id}).encode())
    now = f"{day}T000100-000000-"
    chosen = next(now + tail for tail in TAILS if zlib.crc32((now + tail).encode()) % 16 == 0)
    waits = (
        "import os, sys, time\nwhile not any(n.startswith('page') for n in os.listdir(sys.argv[1])): time.sleep(0.02)"
    )
    words = [sys.executable, "-m", "dsenv.agent", "capture", "--store", str(store), "--run-id", chosen, "--"]
    subprocess.run(
        [*words, sys.executable, "-c", waits, str(store / prefix)],
        check=True,
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )
    (page,) = [page for page in map(pages.page_of, writer.names(prefix)) if page]
    assert page.entries == pages.ENOUGH
    failed = [run.id for run in index.newest(FolderStore(store), statuses=("failed",))]
    assert failed == sorted(ids, reverse=True)
