"""No secret of the corpus is left in any file of a record, and nothing innocent is hidden."""

from __future__ import annotations

import base64
import gzip
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from dsenv.agent.redact import HIDDEN, Redactor
from dsenv.agent.schema import Local
from dsenv.runs.index import newest
from dsenv.runs.record import Record
from dsenv.runs.store.folder import FolderStore
from tests.measuring import unmeasured
from tests.redaction.corpus import INNOCENT_NAMES, INNOCENT_TEXT, Shape, secrets

SECRETS = secrets()


def test_the_corpora_are_as_large_as_promised() -> None:
    assert len({(shape.id, shape.secret[:4]) for shape in SECRETS}) >= 150
    assert len(INNOCENT_TEXT) + len(INNOCENT_NAMES) >= 150


def shown(shape: Shape) -> str:
    redactor = Redactor()
    if shape.channel == "env":
        return json.dumps(redactor.env({shape.name: shape.text}))
    if shape.channel == "argv":
        return json.dumps(redactor.argv(["prog", *shape.text.split("\0")]))
    if shape.channel == "local":
        local: Local = {"name": shape.name, "type": "str", "preview": repr(shape.text)}
        redactor.local(local, "f:1")
        return json.dumps(local)
    return redactor.text(shape.text, "output", "stdout")


@pytest.mark.parametrize("shape", SECRETS, ids=lambda shape: shape.id)
def test_a_secret_is_hidden(shape: Shape) -> None:
    found = shown(shape)
    assert shape.secret not in found
    for piece in pieces(shape.secret):
        assert piece not in found, "a part of it is left"
    assert HIDDEN in found


def pieces(secret: str) -> Iterator[str]:
    """Half of a secret is enough to guess the rest."""
    size = max(8, len(secret) // 2)
    if len(secret) > size:
        yield from {secret[:size], secret[-size:]}


@pytest.mark.parametrize("text", INNOCENT_TEXT)
def test_text_that_people_need_stays(text: str) -> None:
    redactor = Redactor()
    assert redactor.text(text, "output", "stdout") == text
    assert redactor.argv(["prog", text]) == ["prog", text]
    assert redactor.found == []


@pytest.mark.parametrize(("name", "value"), INNOCENT_NAMES)
def test_a_name_that_only_looks_alike_keeps_its_value(name: str, value: str) -> None:
    redactor = Redactor()
    assert redactor.env({name: value}) == {name: value}
    local: Local = {"name": name, "type": "str", "preview": repr(value)}
    redactor.local(local, "f:1")
    assert local["preview"] == repr(value)
    assert redactor.text(f"{name}={value!r}", "output", "stdout") == f"{name}={value!r}"
    assert redactor.found == []


def test_standard_input_is_kept_without_the_secrets_in_it(tmp_path: Path) -> None:
    store = tmp_path / "store"
    for given in (b"rows: 3\npassword=correct-horse-9\n", b"rows: 3\nkey: id\n", b"\0\1password=correct-horse-9"):
        agent = [sys.executable, "-m", "dsenv.agent", "capture", "--store", str(store), "--"]
        done = subprocess.run([*agent, "cat"], cwd=tmp_path, input=given, capture_output=True, check=True)
        assert done.stdout == given
    opened = FolderStore(store)
    kept = [Record(opened, run.id) for run in newest(opened)][::-1]
    stdins = [(record.data["stdin"]["redacted"], record.blob(record.data["stdin"]["blob"])) for record in kept]
    assert stdins == [
        (True, b"rows: 3\npassword=<redacted>\n"),
        (False, b"rows: 3\nkey: id\n"),
        (False, b"\0\1password=correct-horse-9"),
    ]


PROGRAM = """
import json, os, sys
shapes = json.load(os.fdopen(int(os.environ["SHAPES_FD"])))
def use(shapes):
    for shape in shapes:
        print(shape['text'] if shape['channel'] == 'text' else 'row', flush=True)
        print(shape['text'] if shape['channel'] == 'text' else 'row', file=sys.stderr, flush=True)
    nested = {'config': {shape['name']: shape['text'] for shape in shapes if shape['channel'] == 'local'}}
    holder = type('Holder', (), {})()
    for shape in shapes:
        if shape['channel'] == 'local':
            setattr(holder, shape['name'], shape['text'])
    del shape, shapes
    locals_of(nested, holder)
def locals_of(nested, holder):
    TEXTS
    raise ValueError('cannot continue: ' + MESSAGE)
use(shapes)
"""


def test_nothing_is_left_in_any_file_of_a_record(tmp_path: Path) -> None:
    store, app = tmp_path / "store", tmp_path / "app"
    app.mkdir()
    (app / "pyproject.toml").write_text("")
    names = [shape.name for shape in SECRETS if shape.channel == "local"]
    assigned = "; ".join(f"{name} = nested['config'][{name!r}]" for name in names)
    message = "os.environ['MESSAGE']"
    (app / "job.py").write_text(PROGRAM.replace("TEXTS", assigned).replace("MESSAGE", message, 1))
    texts = [shape for shape in SECRETS if shape.channel == "text"]
    variables = {shape.name: shape.text for shape in SECRETS if shape.channel == "env"}
    variables["MESSAGE"] = "\n".join(shape.text for shape in texts)
    words = [word for shape in SECRETS if shape.channel == "argv" for word in shape.text.split("\0")]
    environ = unmeasured() | variables
    read, write = os.pipe()
    data = json.dumps([vars(shape) for shape in SECRETS]).encode()
    writer = threading.Thread(target=_write, args=(write, data))
    writer.start()
    environ["SHAPES_FD"] = str(read)
    agent = [sys.executable, "-m", "dsenv.agent", "capture", "--store", str(store), "--"]
    done = subprocess.run(
        [*agent, sys.executable, "job.py", *words],
        cwd=app,
        env=environ,
        pass_fds=[read],
        capture_output=True,
        check=False,
    )
    os.close(read)
    writer.join()
    assert done.returncode == 1 and b"cannot continue" in done.stderr
    assert all(shape.secret.encode() in done.stdout for shape in texts), "the program's own output is as it was"
    (frames,) = store.rglob("frames.json")
    (failure,) = json.loads(frames.read_bytes())["failures"]
    kept = failure["exceptions"][0]["frames"][-1]["locals"]
    assert {item["name"] for item in kept} >= {"nested", "holder", "db_password"}
    assert HIDDEN in failure["exceptions"][0]["message"] and HIDDEN in json.dumps(failure["argv"])
    left = [shape.id for shape in SECRETS for data in contents(store) if found(shape.secret, data)]
    assert left == []


def _write(handle: int, data: bytes) -> None:
    with os.fdopen(handle, "wb") as out:
        out.write(data)


def contents(store: Path) -> Iterator[bytes]:
    """Every file of a store, what is compressed in it as well."""
    for file in sorted(path for path in store.rglob("*") if path.is_file()):
        data = file.read_bytes()
        yield data
        if data[:2] == b"\x1f\x8b":
            yield gzip.decompress(data)


def found(secret: str, data: bytes) -> bool:
    forms = {secret, json.dumps(secret)[1:-1], quote(secret, safe=""), base64.b64encode(secret.encode()).decode()}
    return any(form.encode() in data for form in forms)


def test_it_stays_fast() -> None:
    """Ordinary output goes through at 5 MB/s at least on any machine that tests run on: it is tens when idle."""
    line = "2026-03-01 10:15:00 INFO worker-3 processed batch 1200 of 4000, loss=0.3412, key=customer, tokens=512\n"
    text = line * 10_000
    begun = time.process_time()
    assert Redactor().text(text, "output", "stdout") == text
    seconds = time.process_time() - begun
    assert len(text) / seconds > 1e6, f"{len(text) / seconds / 1e6:.1f} MB/s"
