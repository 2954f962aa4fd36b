"""What programs read in other ways than by opening a file of their project."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np

from tests.zoo.case import Case

_BESIDE = "{root}/../incoming"


def _beside(root: Path) -> Path:
    folder = root.parent / "incoming"
    folder.mkdir()
    return folder


def _parquet(root: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.table({"rate": [4, 2, 0]}), _beside(root) / "day.parquet")


def _lines(root: Path) -> None:
    (_beside(root) / "lines.txt").write_text("10\n9\nx\n")


def _folder(root: Path) -> None:
    folder = _beside(root)
    for name in ("hazel", "rowan", "aspen", "alder", "maple"):
        (folder / name).write_text(f"{name}\n")


def _ignored(root: Path) -> None:
    for name in ("a/1.dat", "a/2.dat", "b/3.dat", "b/4.tmp"):
        (root / "spool" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "spool" / name).write_text("large")
    (root / ".gitignore").write_text("spool\n")
    subprocess.run(["git", "-C", str(root), "init", "-q"], check=True, stdin=subprocess.DEVNULL)


def _database(root: Path) -> None:
    """The last row is in the log of changes only: its writer was killed."""
    path = _beside(root) / "parts.db"
    with sqlite3.connect(path) as connection:
        connection.execute("create table parts (name text, share real)")
        connection.execute("insert into parts values ('oak', 0.5)")
    connection.close()
    writer = (
        f"import os, sqlite3; c = sqlite3.connect({str(path)!r}); c.execute('pragma journal_mode=wal');"
        " c.execute(\"insert into parts values ('elm', 0)\"); c.commit(); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", writer], check=True)
    assert (path.parent / "parts.db-wal").stat().st_size


def _arrays(root: Path) -> None:
    folder = _beside(root)
    np.save(folder / "places.npy", np.array([2, 0, 1]))
    (folder / "words.txt").write_text("birch cedar elm")


def _links(root: Path) -> None:
    folder = _beside(root)
    (folder / "2026-03-01.csv").write_text("oak,1\nelm,heavy\n")
    os.symlink("2026-03-01.csv", folder / "latest")


def _job(root: Path) -> None:
    (_beside(root) / "job").write_text("0")


def _state(root: Path) -> None:
    (_beside(root) / "state").write_text("ready")


def _clear(root: Path) -> None:
    shutil.rmtree(root.parent / "incoming")


CASES = (
    Case(
        "parquet",
        ("{python}", "warehouse.py", f"{_BESIDE}/day.parquet"),
        program="inputs",
        type="ZeroDivisionError",
        message="division by zero",
        file="warehouse.py",
        function="<module>",
        line_text="print([100 / rate for rate in rates])",
        inputs=("../incoming/day.parquet",),
        before=_parquet,
        afterwards=_clear,
        ways=("namespace",),
        why="pyarrow opens the file itself",
    ),
    Case(
        "child_reads",
        ("{python}", "child.py", f"{_BESIDE}/lines.txt"),
        program="inputs",
        type="ValueError",
        message="invalid literal for int() with base <n>: 'x'",
        file="child.py",
        function="<genexpr>",
        line_text="total = sum(int(line) for line in lines)",
        inputs=("../incoming/lines.txt",),
        before=_lines,
        afterwards=_clear,
        ways=("namespace",),
        why="another program reads the file",
    ),
    Case(
        "listing_order",
        ("{python}", "oldest.py", _BESIDE),
        program="inputs",
        type="LookupError",
        chance=True,
        file="oldest.py",
        function="<module>",
        line_text='raise LookupError(f"{(folder / first).read_text().strip()} before {second.name}")',
        before=_folder,
        afterwards=_clear,
        silent=False,
    ),
    Case(
        "listed_not_read",
        ("{python}", "count.py"),
        program="inputs",
        type="LookupError",
        message="three files in two folders",
        file="count.py",
        function="<module>",
        line_text='raise LookupError(f"{NUMBERS[len(found)]} files in {NUMBERS[len(folders)]} folders")',
        before=_ignored,
    ),
    Case(
        "database_log",
        ("{python}", "ledger.py", f"{_BESIDE}/parts.db"),
        program="inputs",
        type="ZeroDivisionError",
        message="float division by zero",
        file="ledger.py",
        function="<module>",
        line_text="print(name, 1 / share)",
        inputs=("../incoming/parts.db", "../incoming/parts.db-wal"),
        before=_database,
        afterwards=_clear,
        ways=("namespace",),
        why="SQLite opens the file itself",
    ),
    Case(
        "mapped",
        ("{python}", "mapped.py", f"{_BESIDE}/places.npy", f"{_BESIDE}/words.txt"),
        program="inputs",
        type="LookupError",
        message="cedar",
        file="mapped.py",
        function="<module>",
        line_text='raise LookupError(f"{words[:].decode().split()[int(values[-1])]}")',
        inputs=("../incoming/places.npy", "../incoming/words.txt"),
        before=_arrays,
        afterwards=_clear,
    ),
    Case(
        "through_a_link",
        ("{python}", "link.py", f"{_BESIDE}/latest"),
        program="inputs",
        type="ValueError",
        message="could not convert string to float: 'heavy\\n'",
        file="link.py",
        function="<module>",
        line_text="print({name: float(value) for name, value in rows})",
        inputs=("../incoming/latest",),
        before=_links,
        afterwards=_clear,
    ),
    Case(
        "taken_away",
        ("{python}", "gone.py", f"{_BESIDE}/job"),
        program="inputs",
        type="ZeroDivisionError",
        message="division by zero",
        file="gone.py",
        function="<module>",
        line_text="print(1 / int(file.read()))",
        inputs=("../incoming/job",),
        before=_job,
        afterwards=_clear,
    ),
    Case(
        "declared",
        ("./steps.sh", f"{_BESIDE}/state"),
        program="inputs",
        exit=3,
        options=("--input", "../incoming/state"),
        inputs=("../incoming/state",),
        before=_state,
        afterwards=_clear,
        ways=("namespace",),
        why="a shell reads the file",
    ),
)
