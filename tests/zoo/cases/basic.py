"""Failures of ordinary scripts: data, code, environment, arguments, input and children."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.zoo.case import Case


def _write_orders(root: Path) -> None:
    folder = root.parent / "incoming"
    folder.mkdir()
    (folder / "orders.json").write_text('[{"amount": 5}, {"amount": null}]')


def _delete_orders(root: Path) -> None:
    shutil.rmtree(root.parent / "incoming")


def _mend_position(root: Path) -> None:
    (root / "position.json").write_text('{"position": 50}')


def _mend_batch(root: Path) -> None:
    (root / "batch.csv").write_text("material,weight\noak,1\n")


def _commit_then_change(root: Path) -> None:
    _git(root, "init", "-q", "-b", "main")
    _git(root, "add", ".")
    _git(root, "commit", "-q", "-m", "price")
    file = root / "price.py"
    file.write_text(file.read_text().replace("net * (1 + rate)", "net / rate").replace("0.19", "0"))
    (root / "notes.txt").write_text("not added to git\n")


def _revert(root: Path) -> None:
    _git(root, "checkout", "-q", "--", ".")


def _git(root: Path, *arguments: str) -> None:
    who = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.invalid"]
    subprocess.run(["git", *who, "-C", str(root), *arguments], check=True, stdin=subprocess.DEVNULL)


CASES = (
    Case(
        "data_drift",
        ("{python}", "score.py", "batch.csv"),
        type="KeyError",
        message="'bamboo'",
        file="score.py",
        function="score",
        line_text='total += rates[row["material"]] * float(row["weight"])',
        inputs=("batch.csv", "rates.json"),
        afterwards=_mend_batch,
    ),
    Case(
        "deleted_input",
        ("{python}", "totals.py", "{root}/../incoming/orders.json"),
        type="TypeError",
        message="unsupported operand type(s) for +: 'int' and 'NoneType'",
        file="totals.py",
        function="add_up",
        line_text='return sum(order["amount"] for order in orders)',
        inputs=("../incoming/orders.json",),
        before=_write_orders,
        afterwards=_delete_orders,
    ),
    Case(
        "changed_input",
        ("{python}", "advance.py"),
        type="ZeroDivisionError",
        message="division by zero",
        file="advance.py",
        function="advance",
        line_text="return 100 / position",
        inputs=("position.json",),
        afterwards=_mend_position,
    ),
    Case(
        "env_var",
        ("{python}", "batches.py"),
        type="ValueError",
        message="invalid literal for int() with base <n>: '<n>k'",
        file="batches.py",
        function="batch_size",
        line_text="return int(text)",
        env=(("BATCH_ROWS", "12k"),),
    ),
    Case(
        "odd_argv",
        (
            *("{python}", "filter.py", "--where", "name = \"O'Brien\" AND note = 'open", "", "*", "$HOME"),
            *("a\nb", "naïve ☃", "-x=1 2", "--"),
        ),
        type="ValueError",
        message="No closing quotation",
        file="filter.py",
        function="words",
        line_text="return shlex.split(expression)",
    ),
    Case(
        "stdin",
        ("{python}", "events.py"),
        type="json.decoder.JSONDecodeError",
        message="Expecting value: line <n> column <n> (char <n>)",
        file="events.py",
        function="count",
        line_text="event = json.loads(line)",
        stdin=b'{"count": 1}\n{"count": 2}\n{"count": None}\n',
    ),
    Case(
        "exception_chain",
        ("{python}", "load.py"),
        type="__main__.LoadError",
        message="table <n> of <path> cannot be loaded",
        file="load.py",
        function="refuse",
        line_text="raise LoadError(reason)",
    ),
    Case(
        "module",
        ("{python}", "-m", "report", "3", "0"),
        type="ZeroDivisionError",
        message="division by zero",
        file="report/ratios.py",
        function="ratio",
        line_text="return part / whole",
    ),
    Case(
        "child_process",
        ("./nightly.sh", "{python}"),
        type="ValueError",
        message="invalid literal for int() with base <n>: 'x'",
        file="check.py",
        function="check",
        line_text="return [int(word) for word in words]",
        inputs=("prepared.txt",),
    ),
    Case(
        "dirty_code",
        ("{python}", "price.py"),
        type="ZeroDivisionError",
        message="division by zero",
        file="price.py",
        function="price",
        line_text="return net / rate",
        before=_commit_then_change,
        afterwards=_revert,
    ),
)
