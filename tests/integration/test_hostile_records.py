"""Real records that someone changed: everything that reads them answers, or says what is wrong with them."""

from __future__ import annotations

import contextlib
import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dsenv.cli.main import main
from dsenv.errors import DsenvError
from dsenv.workflows import reproduce as workflow
from dsenv.workflows.reproduce.model import Isolation
from dsenv.workflows.show import show
from tests.fuzz import reader

PROGRAM = """
import sys
def load(rows, typed):
    password, nested = 'hunter2', {'a': [1, (2, 3)]}
    try:
        {}['k']
    except KeyError as error:
        raise ValueError('bad') from error
load(open('rows.txt').read(), sys.stdin.read())
"""
VALUES: list[Any] = [
    *(None, 0, -1, 1 << 70, 0.5, True, "", "x", "/etc/passwd", "../../x", "\x1b[31m\ud800\0", float("inf")),
    *([], {}, [None], ["a"], {"a": 1}, [[[]]], "exception", "signal", {"name": "v"}),
]


class Store:
    """A store with one record, which can be changed and restored."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "store"
        app = folder / "app"
        app.mkdir()
        for name, text in (("job.py", PROGRAM), ("rows.txt", "5"), ("pyproject.toml", "")):
            (app / name).write_text(text)
        words = [sys.executable, "-m", "dsenv.agent", "capture", "--store", str(self.folder), "--"]
        subprocess.run([*words, sys.executable, "job.py"], cwd=app, input=b"typed", capture_output=True, check=False)
        self.files = [file for file in self.folder.rglob("*") if file.suffix in {".json", ".jsonl"}]
        self.files.sort()
        self.documents = [[json.loads(line) for line in _documents(file)] for file in self.files]

    def write(self, number: int, documents: Any) -> None:
        self.files[number].chmod(0o600)
        items = documents if isinstance(documents, list) else [documents]
        self.files[number].write_text("\n".join(json.dumps(item) for item in items))


def _documents(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.suffix == ".jsonl" else [file.read_text()]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("hostile"))


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value in a document."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    return [path, *(place for key in keys for place in places(value[key], (*path, key)))]


@st.composite
def changed(draw: st.DrawFn, document: Any) -> Any:
    """A document in which some values were removed or replaced."""
    document = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        *way, last = draw(st.sampled_from(places(document)[1:] or [(None,)]))
        if last is None:
            break
        target = document
        for key in way:
            target = target[key]
        if draw(st.booleans()):
            target[last] = copy.deepcopy(draw(st.sampled_from(VALUES)))
        else:
            del target[last]
    return document


def read_everything(store: str) -> None:
    """All that is done with a record but running it, in both ways of restoring."""
    record = workflow.open_record("last", store)
    reader.read(Path(store), record.id, thorough=False)
    for way in get_args(Isolation):
        reader.restore_in(record, way)


@pytest.mark.slow
@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_changed_record_is_read_or_refused(store: Store, data: st.DataObject) -> None:
    number = data.draw(st.integers(0, len(store.files) - 1))
    store.write(number, data.draw(changed(store.documents[number])))
    try:
        with contextlib.suppress(DsenvError):
            read_everything(str(store.folder))
        assert main(["show", "last", "--store", str(store.folder)]) in {0, 2, 6}
        assert main(["runs", "--store", str(store.folder)]) == 0
    finally:
        store.write(number, store.documents[number])


def test_the_record_itself_is_read(store: Store) -> None:
    read_everything(str(store.folder))
    assert show("last", str(store.folder)).failure is not None
