"""Programs of the zoo are saved as tests: each fails, and passes once its program is mended."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dsenv.events import Cancel, ignore
from dsenv.workflows import reproduce, testfile
from tests.measuring import unmeasured
from tests.zoo.case import prepare
from tests.zoo.cases import CASES
from tests.zoo.test_capture import run


@dataclasses.dataclass(frozen=True)
class Mended:
    """A case, and the change of its program that mends it."""

    case: str
    file: str
    old: str
    new: str


MENDED = (
    Mended("data_drift", "score.py", 'rates[row["material"]]', 'rates.get(row["material"], 0)'),
    Mended("deleted_input", "totals.py", 'order["amount"] for', 'order["amount"] or 0 for'),
    Mended("env_var", "batches.py", "int(text)", 'int(text.replace("k", "000"))'),
    Mended("stdin", "events.py", "event = json.loads(line)", 'event = json.loads(line.replace("None", "0"))'),
    Mended("module", "report/ratios.py", "part / whole", "part / (whole or 1)"),
    Mended("child_process", "check.py", "for word in words]", "for word in words if word.isdigit()]"),
    Mended("exception_chain", "load.py", 'column(table, "price")', 'column(table, "cost")'),
    Mended("ends_handler", "ends.py", "limit = 3", "limit = 0"),
    Mended("signal_segfault", "crash.py", "return ctypes.string_at(address)", "return b''"),
    Mended("open_files", "spread.py", "range(200)", "range(20)"),
    Mended("timeout_plain", "hang.py", "while True:", "while not seen:"),
    Mended("out_of_memory", "grow.py", "while True:", "while len(blocks) < 3:"),
)


def pytest_says(file: Path) -> tuple[int, str]:
    env = unmeasured() | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, str(file)]
    done = subprocess.run(words, check=False, capture_output=True, text=True, env=env, cwd=file.parent)
    return done.returncode, done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("mended", MENDED, ids=lambda mended: mended.case)
def test_a_saved_test_fails_until_the_program_is_mended(mended: Mended, tmp_path: Path) -> None:
    case = next(case for case in CASES if case.name == mended.case)
    if not case.needs():
        pytest.skip("this machine cannot play that one")
    production, work = tmp_path / "production", tmp_path / "work"
    root = prepare(case, production)
    run(case, root, tmp_path / "store")
    case.afterwards(root)
    shutil.copytree(root, work)
    (work / "pyproject.toml").touch()
    shutil.rmtree(production)

    record = reproduce.open_record("last-failed", str(tmp_path / "store"))
    saved = testfile.save(record, testfile.Options(work / "test_saved.py"), emit=ignore, cancel=Cancel())
    assert saved.reason is None
    assert (saved.working_tree, saved.verified_by) == ("fails", "pytest")
    assert "dsenv" not in saved.file.read_text().replace("Saved by dsenv", "").replace('".dsenv"', "")
    code, output = pytest_says(saved.file)
    assert code == 1 and "1 failed" in output

    program = work / mended.file
    text = program.read_text()
    assert mended.old in text
    program.write_text(text.replace(mended.old, mended.new))
    code, output = pytest_says(saved.file)
    assert code == 0, output
