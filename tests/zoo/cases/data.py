"""Failures of data science: tables that changed, numbers that do not work out, models that do not fit."""

from __future__ import annotations

import gzip
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.zoo.case import Case, nothing

_BESIDE = "{root}/../incoming"


def _beside(root: Path) -> Path:
    folder = root.parent / "incoming"
    folder.mkdir()
    return folder


def _clear(root: Path) -> None:
    shutil.rmtree(root.parent / "incoming")


def _renamed(root: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    folder = _beside(root)
    pyarrow.parquet.write_table(pyarrow.table({"amount_eur": [4.0, 2.0]}), folder / "monday.parquet")


def _cut_off(root: Path) -> None:
    whole = gzip.compress(b"1,2\n" * 1000, mtime=0)
    (_beside(root) / "rows.csv.gz").write_bytes(whole[:-12])


def _migrated(root: Path) -> None:
    connection = sqlite3.connect(_beside(root) / "sales.db")
    connection.execute("create table sales (amount_eur real)")
    connection.commit()
    connection.close()


def _copied_column(root: Path) -> None:
    np.save(_beside(root) / "samples.npy", np.array([[1.0, 2.0, 4.0], [2.0, 4.0, 8.0]]))


def _model(root: Path) -> None:
    import joblib
    from sklearn.linear_model import LinearRegression

    model = LinearRegression().fit(np.arange(8.0).reshape(2, 4), np.arange(2.0))
    joblib.dump(model, _beside(root) / "model.joblib")


def _case(program: str, name: str, failure: tuple[str, str], function: str, line_text: str, **more: Any) -> Case:
    """A script that fails in a function of its own."""
    facts: dict[str, Any] = {"chance": failure[1] == "", **more}
    return Case(
        f"data_{name}",
        ("{python}", f"{name}.py", *facts.pop("arguments", ())),
        type=failure[0],
        message=failure[1],
        file=f"{name}.py",
        function=function,
        line_text=line_text,
        program=program,
        **facts,
    )


def _beyond(file: str, before: Callable[[Path], None] = nothing) -> dict[str, Any]:
    """The input lies outside the project, and is gone afterwards."""
    return {
        "arguments": (f"{_BESIDE}/{file}",),
        "inputs": (f"../incoming/{file}",),
        "before": before,
        "afterwards": _clear,
    }


CASES = (
    _case(
        *("tables", "categories", ("KeyError", "\"['city_Trier'] not in index\"")),
        *("features", "return encoded[TRAINED_ON]"),
        inputs=("batch.csv",),
    ),
    _case(
        *("tables", "join", ("pandas.errors.IntCastingNaNError", "")),
        *("with_region", 'return joined.astype({"region": int})'),
        inputs=("orders.csv", "customers.csv"),
    ),
    _case(
        *("tables", "prices", ("TypeError", "can't multiply sequence by non-int of type 'float'")),
        *("raised", "return [price * 1.1 for price in prices]"),
        inputs=("prices.csv",),
    ),
    _case(
        "tables",
        "encoding",
        (
            "UnicodeDecodeError",
            "'utf-<n>' codec can't decode byte <address> in position <n>: invalid start byte",
        ),
        *("load", "return pd.read_csv(name)"),
        inputs=("towns.csv",),
    ),
    _case(
        *("tables", "empty", ("pandas.errors.EmptyDataError", "No columns to parse from file")),
        *("load", "return pd.read_csv(name)"),
        inputs=("nothing.csv",),
    ),
    _case(
        *("tables", "keys", ("pandas.errors.MergeError", "")),
        *("joined", 'return left.merge(right, on="item", validate="one_to_one")'),
        inputs=("twice.csv",),
    ),
    _case(
        *("tables", "zones", ("TypeError", "")),
        *("late", 'return events[events["at"] > deadline]'),
        inputs=("events.csv",),
    ),
    _case(
        *("tables", "columns", ("pyarrow.lib.ArrowInvalid", "")),
        *("amounts", 'return pyarrow.dataset.dataset(folder).to_table(columns=["amount"])'),
        **_beyond("monday.parquet", _renamed),
        ways=("namespace",),
        why="pyarrow opens the file itself",
    ),
    _case(
        *("tables", "archive", ("EOFError", "Compressed file ended before the end-of-stream marker was reached")),
        *("rows", "return file.readlines()"),
        **_beyond("rows.csv.gz", _cut_off),
    ),
    _case(
        *("tables", "query", ("sqlite3.OperationalError", "no such column: amount")),
        *("total", 'return connection.execute("select sum(amount) from sales").fetchone()'),
        **_beyond("sales.db", _migrated),
        ways=("namespace",),
        why="SQLite opens the file itself",
    ),
    _case(
        *("science", "singular", ("numpy.linalg.LinAlgError", "Singular matrix")),
        *("precision", "return np.linalg.inv(np.cov(samples))"),
        **_beyond("samples.npy", _copied_column),
    ),
    _case(
        *("science", "shapes", ("ValueError", "operands could not be broadcast together with shapes (<n>) (<n>)")),
        *("ensemble", "return (first + second) / 2"),
    ),
    _case(
        *("science", "overflow", ("FloatingPointError", "overflow encountered in exp")),
        *("softmax", "return np.exp(scores) / np.exp(scores).sum()"),
    ),
    _case(
        *("science", "converge", ("sklearn.exceptions.ConvergenceWarning", "")),
        *("fit", "return LogisticRegression(max_iter=2).fit(features, labels)"),
    ),
    _case(
        *("science", "unseen", ("ValueError", "Found unknown categories ['Bremen'] in column <n> during transform")),
        *("encode", "return FITTED.transform(words)"),
    ),
    _case(
        *("science", "missing", ("ValueError", "")),
        *("train", 'return LinearRegression().fit(table[["area"]], table["rent"])'),
        inputs=("rents.csv",),
    ),
    _case(
        *("science", "features", ("ValueError", "")),
        *("predict", "return model.predict(rows)"),
        **_beyond("model.joblib", _model),
    ),
    _case(
        *("science", "stratify", ("ValueError", "")),
        *("split", "return train_test_split(labels, stratify=labels)"),
        repeat=3,
        silent=False,
    ),
    _case(
        *("science", "bootstrap", ("ArithmeticError", "")),
        *("fail", 'raise ArithmeticError(" ".join(WORDS[value % 8] for value in values))'),
        repeat=3,
        silent=False,
    ),
)
