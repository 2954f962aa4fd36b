"""What a machine did to a run is done to its reproduction: numbers, processors, limits, time, place and language.

Production is this machine, made another one by variables that are then taken out of the record: what is left is what
a machine of that kind would have recorded.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dsenv.config import paths
from dsenv.events import Cancel, ignore
from dsenv.runs.index import newest
from dsenv.runs.record import Record
from dsenv.runs.store import open_store
from dsenv.workflows import reproduce as workflow
from dsenv.workflows.reproduce.means import means
from dsenv.workflows.reproduce.model import Reproduction
from tests.measuring import unmeasured

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="what a kernel imposes is Linux's here")


class Production:
    """A program, a store, and what is different about the machine."""

    def __init__(self, folder: Path) -> None:
        self.root, self.store = folder / "production", folder / "store"
        self.root.mkdir()

    def run(self, program: str, *before: str, **variables: str) -> None:
        (self.root / "job.py").write_text(program)
        capture = [sys.executable, "-m", "dsenv.agent", "capture", "--store", str(self.store), "--"]
        environ = unmeasured()
        done = subprocess.run(
            [*before, *capture, sys.executable, "job.py"],
            cwd=self.root,
            env=environ | {"PYTHONPATH": os.fspath(Path(__file__).parents[2])} | variables,
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert done.returncode, done.stdout

    def change(self, edit: Callable[[dict[str, Any]], None]) -> None:
        """Change what the record says of its machine."""
        (file,) = self.store.glob("runs/*/*/*/*/record.json")
        record = json.loads(file.read_text())
        edit(record)
        file.write_text(json.dumps(record))

    def forget(self, *names: str) -> None:
        """Take variables out of the record: the machine was so by itself."""

        def edit(record: dict[str, Any]) -> None:
            for name in names:
                record["env"].pop(name, None)
                record["fingerprint"]["threads"].pop(name, None)
                record["fingerprint"]["locale"].pop(name, None)

        self.change(edit)

    def record(self) -> Record:
        (run,) = newest(open_store(str(self.store)))
        return workflow.open_record(run.id, str(self.store))

    def again(self, **options: Any) -> Reproduction:
        return workflow.reproduce(self.record(), workflow.Options(**options), emit=ignore, cancel=Cancel())


@pytest.fixture
def production(tmp_path: Path) -> Production:
    return Production(tmp_path)


def said(items: Any, what: str, name: str = "") -> list[str]:
    return [item.note for item in items if item.what == what and item.name.startswith(name)]


BITS = """
import os
import numpy as np
numbers = np.random.default_rng(0)
a, b = numbers.random((400, 400)), numbers.random(400)
found = [(a @ a).sum().hex(), np.linalg.solve(a, b).sum().hex(), np.exp(a * 30).sum().hex()]
found += [name for name in ("OPENBLAS_CORETYPE", "NPY_DISABLE_CPU_FEATURES", "OMP_NUM_THREADS") if name in os.environ]
# The message is compared as it is, so digits are written as letters.
raise ValueError(" ".join(found).translate(str.maketrans("0123456789", "ghijklmnop")))
"""
OTHER_MACHINES = [
    {"OPENBLAS_CORETYPE": "Haswell", "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR"},
    {"OPENBLAS_CORETYPE": "Nehalem", "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL AVX512_SPR"},
    {"OPENBLAS_NUM_THREADS": "1"},
]


@pytest.mark.slow
@pytest.mark.parametrize("machine", OTHER_MACHINES, ids=lambda machine: "-".join(machine.values())[:20])
def test_sums_have_the_bits_of_the_recorded_processor(production: Production, machine: dict[str, str]) -> None:
    pytest.importorskip("numpy")
    production.run(BITS, **machine)
    production.change(lambda record: _shown_as_unset(record, machine))
    production.forget(*machine)
    result = production.again()
    assert result.verdict == "same-failure", (result.recorded, result.observed)
    wanted = ("threads", "BLAS") if "OPENBLAS_NUM_THREADS" in machine else ("cpu", "blas kernel")
    assert said(result.restored, *wanted)
    assert not said(result.not_restored, "cpu")


def _shown_as_unset(record: dict[str, Any], machine: dict[str, str]) -> None:
    """The program says which variables it sees; on a machine that is so by itself it sees none."""
    letters = str.maketrans("0123456789", "ghijklmnop")
    for name in machine:
        record["signature"]["message"] = record["signature"]["message"].replace(" " + name.translate(letters), "")


@pytest.mark.slow
def test_without_it_the_bits_differ_and_the_first_difference_says_why(production: Production) -> None:
    """The kernel of a processor that this machine cannot imitate."""
    pytest.importorskip("numpy")
    if "amx_tile" in Path("/proc/cpuinfo").read_text():
        pytest.skip("this machine can imitate every kernel that is known")
    production.run(BITS, OPENBLAS_CORETYPE="Nehalem")
    production.forget("OPENBLAS_CORETYPE")

    def newer(record: dict[str, Any]) -> None:
        record["fingerprint"]["numeric"]["libraries"][0]["kernel"] = "Sapphirerapids"
        record["fingerprint"]["cpu"]["flags"] = sorted({*record["fingerprint"]["cpu"]["flags"], "amx_tile"})

    production.change(newer)
    result = production.again()
    (note,) = said(result.not_restored, "cpu", "blas kernel")[:1]
    assert "needs a machine with" in note and "AMX_TILE" in note
    assert result.verdict == "different-failure"
    assert (result.differences[0].what, result.differences[0].name) == ("cpu", "blas kernel")


@LINUX
@pytest.mark.parametrize(
    ("program", "before", "label"),
    [
        ("[open('/dev/null') for _ in range(40)]", "--nofile=32:32", "ulimit nofile"),
        ("import sys\nsys.setrecursionlimit(10**6)\nbytearray(1 << 30)", "--as=700000000", "ulimit as"),
        ("open('out', 'wb').write(bytes(2 << 20))\n", "--fsize=1048576:", "ulimit fsize"),
    ],
)
def test_a_limit_of_the_machine_is_one_here(production: Production, program: str, before: str, label: str) -> None:
    production.run(program, "prlimit", before)
    result = production.again()
    assert result.verdict == "same-failure", (result.recorded, result.observed, result.not_restored)
    assert said(result.restored, "limits", label)


@LINUX
def test_processors_are_left_out_and_more_are_named(production: Production) -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one processor is all there is")
    program = "import os\nraise ValueError('abcd'[len(os.sched_getaffinity(0))] + 'xyz'[os.cpu_count() == 97])"
    production.run(program, "taskset", "-c", "0")
    result = production.again()
    assert result.verdict == "same-failure", result.observed

    def larger(record: dict[str, Any]) -> None:
        record["fingerprint"]["cpu"].update(count=97, usable=3)
        record["signature"]["message"] = "dy"

    production.change(larger)
    result = production.again()
    assert result.verdict == "same-failure", result.observed
    assert said(result.restored, "cpu", "count") and said(result.not_restored, "cpu", "processors")


def test_the_zone_of_the_machine_counts_and_is_no_variable_of_the_program(production: Production) -> None:
    program = (
        "import os, time, subprocess\nzone = ' '.join(time.tzname)\n"
        "child = subprocess.run(['date', '+%Z'], stdout=subprocess.PIPE).stdout.decode().strip()\n"
        "raise ValueError(f'{zone} {child in zone} {os.environ.get(\"TZ\")}')"
    )
    production.run(program, TZ="Asia/Tokyo")

    def unset(record: dict[str, Any]) -> None:
        record["signature"]["message"] = record["signature"]["message"].replace("Asia/Tokyo", "None")

    production.change(unset)
    production.forget("TZ")
    result = production.again()
    assert (result.verdict, said(result.restored, "timezone")) == ("same-failure", ["as recorded"]), result.observed

    def elsewhere(record: dict[str, Any]) -> None:
        record["fingerprint"]["locale"].update(zone="Nowhere/City", rules="NWT-7NWS,M3.2.0,M11.1.0")
        record["signature"]["message"] = "NWT NWS True None"

    production.change(elsewhere)
    assert production.again().verdict == "same-failure"


def test_time_begins_as_recorded_when_that_is_asked_for(production: Production) -> None:
    program = (
        "import datetime, pickle, time\n"
        "first, second = datetime.datetime.now(), datetime.datetime.fromtimestamp(time.time())\n"
        "assert type(first) is datetime.datetime and pickle.loads(pickle.dumps(first)) == first\n"
        "year = {first.year, second.year, time.localtime().tm_year, datetime.date.today().year}\n"
        "raise ValueError('abcdefghij'[year.pop() % 10] + str(len(year)))\n"
    )
    production.run(program)

    def earlier(record: dict[str, Any]) -> None:
        record["started"] = 1_000_000_000_000_000  # in 2001
        record["signature"]["message"] = "b<n>"

    production.change(earlier)
    assert production.again(clock=True).verdict == "same-failure"
    result = production.again()
    assert result.verdict == "different-failure"
    assert any("--clock recorded" in note for note in said(result.not_restored, "clock"))


def test_a_locale_that_is_not_here_is_named(production: Production) -> None:
    production.run("1/0", LANG="C.UTF-8")

    def german(record: dict[str, Any]) -> None:
        record["env"]["LANG"] = record["fingerprint"]["locale"]["LANG"] = "de_AQ.UTF-8"

    production.change(german)
    result = production.again()
    assert result.verdict == "same-failure"
    assert "locale-gen" in said(result.not_restored, "locale", "de_AQ")[0]


@LINUX
def test_what_the_program_writes_elsewhere_is_kept_from_the_disk(production: Production) -> None:
    if not means().overlay:
        pytest.skip("this machine lets us have no overlays")
    elsewhere = production.root.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "report.csv").write_text("of last week")
    program = (
        f"import os\nos.chdir({str(elsewhere)!r})\nopen('report.csv', 'w').write('x')\n"
        "open('new', 'w').close()\nraise ValueError(os.path.getsize('report.csv'))"
    )
    production.run(program)
    (elsewhere / "new").unlink()
    (elsewhere / "report.csv").write_text("of last week")
    result = production.again()
    assert result.verdict == "same-failure", result.observed
    assert said(result.restored, "folder", "/")
    assert [(path.name, path.read_text()) for path in elsewhere.iterdir()] == [("report.csv", "of last week")]
    left = production.again(available=dataclasses.replace(means(), overlay=False))
    assert "may write outside" in said(left.not_restored, "folder", "/")[0]
    assert (elsewhere / "new").exists()
    assert not list((paths.cache_dir() / "reproductions").iterdir())
