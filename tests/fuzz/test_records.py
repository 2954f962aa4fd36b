"""Thousands of harmed records: each is read, or refused in clear words; nothing is executed, nothing lies outside.

`DSENV_FUZZ=N` sets how many. In CI it is some hundreds, `make test-all` reads 10,000.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.measuring import unmeasured

REPOSITORY = Path(__file__).parents[2]
COUNT = int(os.environ.get("DSENV_FUZZ", "400"))
PROGRAMS = {
    "fails.py": (
        "import sys, random\n"
        "def load(rows, typed):\n    password, nested = 'hunter2', {'a': [1, (2, 3)]}\n"
        "    try:\n        {}['k']\n    except KeyError as error:\n        raise ValueError('bad') from error\n"
        "print('reading', random.random())\nload(open('rows.txt').read(), sys.stdin.read())\n"
    ),
    "killed.py": "import os\nopen('rows.txt').read()\nprint('x' * 2000, flush=True)\nos.kill(os.getpid(), 9)\n",
    "works.py": "import os\nprint(sorted(os.listdir('.')), open('rows.txt').read())\n",
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real records: a failure with a chain, a kill, and a success."""
    folder = tmp_path_factory.mktemp("fuzz")
    app = folder / "app"
    app.mkdir()
    for name, text in {**PROGRAMS, "rows.txt": "5", "pyproject.toml": ""}.items():
        (app / name).write_text(text)
    for name in PROGRAMS:
        words = [sys.executable, "-m", "dsenv.agent", "capture", "--store", str(folder / "store"), "--"]
        words += [sys.executable, name]
        subprocess.run(words, cwd=app, input=b"typed", capture_output=True, check=False, env=unmeasured())
    return folder / "store"


@pytest.mark.slow
def test_harmed_records_are_read_or_refused(store: Path, tmp_path: Path, isolation: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    half = COUNT // 2
    environ = {**os.environ, "PYTHONPATH": str(REPOSITORY), "TMPDIR": str(work), "OPENBLAS_NUM_THREADS": "1"}
    done = [
        subprocess.run(
            [sys.executable, "-m", "tests.fuzz.reader", str(store), str(first), str(last)],
            cwd=work, env=environ, capture_output=True, text=True, check=False, timeout=3000,
        )
        for first, last in ((0, half), (half, COUNT))
    ]  # fmt: skip
    said = [json.loads(line) for run in done for line in run.stdout.splitlines() if line.startswith("{")]
    problems = [item for item in said if "problem" in item]
    assert not problems, "\n".join(f"{p['seed']}: {p['said']}\n{p['problem']}" for p in problems[:5])
    assert [run.returncode for run in done] == [0, 0], [run.stderr[-2000:] for run in done]
    finished = [item for item in said if "read" in item]
    assert sum(item["read"] for item in finished) == COUNT
    assert COUNT // 5 < sum(item["refused"] for item in finished) < COUNT * 9 // 10, finished
    assert max(item["peak"] for item in finished) < 700 << 20, finished
    assert list(work.iterdir()) == [], "nothing is left beside the folders of dsenv"
    assert not Path("/tmp/owned").exists()
