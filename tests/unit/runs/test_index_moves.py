"""A listing is the set of records, whatever captures, tidying and prunes do between any two steps of it.

What they do is recorded as single puts and deletions, and replayed between the reader's requests.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsenv.agent.store import pages
from dsenv.agent.store.folder import FolderWriter
from dsenv.runs import index, keys, retention
from dsenv.runs.store import Store, open_store
from dsenv.runs.store.folder import FolderStore
from dsenv.runs.store.s3 import S3Store

DAY = "2026/03/01"
ENDS = ("failed", "succeeded")
Step = Callable[[], None]


def run_id(number: int) -> str:
    return f"20260301T00{number // 60:02}{number % 60:02}-000000-abcd"


class Recorder(FolderWriter):
    """A writer that remembers what it did."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.done: list[tuple[str, bytes | None]] = []

    def put(self, key: str, data: bytes) -> None:
        self.done.append((key, data))
        super().put(key, data)

    def delete(self, key: str) -> None:
        self.done.append((key, None))
        super().delete(key)

    def begin(self, number: int) -> None:
        self.put(keys.record(run_id(number), "heartbeat"), b"%d" % (time.time() * 1e6 + 1e12))
        self.put(keys.index(DAY, "running", run_id(number)), entry(number, "running"))

    def end(self, number: int, status: str) -> None:
        self.put(keys.record(run_id(number), "record.json"), entry(number, status))
        self.put(keys.index(DAY, status, run_id(number)), entry(number, status))
        self.delete(keys.index(DAY, "running", run_id(number)))

    def prune(self, numbers: set[int]) -> None:
        for status in index.STATUSES:
            pages.remove(self, keys.index(DAY, status), {run_id(number) for number in numbers})

    def tidy(self, status: str) -> None:
        pages.gather(self, keys.index(DAY, status), lambda: False, 1)


def entry(number: int, status: str) -> bytes:
    return json.dumps({"id": run_id(number), "status": status, "started": 1, "command": ["x"]}).encode()


class Replay:
    """Does some of the recorded steps at each call."""

    def __init__(self, folder: str, steps: list[tuple[str, bytes | None]], pace: list[int]) -> None:
        self._writer, self._steps, self._pace = FolderWriter(folder), iter(steps), itertools.cycle(pace)

    def __call__(self) -> None:
        for key, data in itertools.islice(self._steps, next(self._pace)):
            self._writer.delete(key) if data is None else self._writer.put(key, data)


class Stepping(FolderStore):
    """A folder whose names come one by one, in their order, as they are when it comes to them."""

    step: Step

    def children(self, prefix: str) -> Iterator[str]:
        name = ""
        while names := [other for other in super().children(prefix) if other > name]:
            yield (name := min(names))
            self.step()

    def read(self, key: str, *, limit: int) -> bytes | None:
        self.step()
        return super().read(key, limit=limit)


class Service(ThreadingHTTPServer):
    """Folders as buckets, with listings of one key a page."""

    folder: Path
    step: Step

    def listing(self, bucket: str, query: dict[str, str]) -> bytes:
        top, prefix, delimiter = self.folder / bucket, query.get("prefix", ""), query.get("delimiter", "")
        after = query.get("continuation-token") or query.get("start-after", "")
        names = [os.path.relpath(os.path.join(place, name), top) for place, _, files in os.walk(top) for name in files]
        ends = {name: name.find("/", len(prefix)) + 1 if delimiter else 0 for name in names if name.startswith(prefix)}
        shown = sorted({name[: end or None] for name, end in ends.items()})
        page = [name for name in shown if name > after][:2]
        more = f"<NextContinuationToken>{quote(page[0])}</NextContinuationToken>" if len(page) == 2 else ""
        text = "".join(
            f"<CommonPrefixes><Prefix>{quote(name)}</Prefix></CommonPrefixes>"
            if name.endswith("/")
            else f"<Contents><Key>{quote(name)}</Key><Size>1</Size></Contents>"
            for name in page[:1]
        )
        return f"<ListBucketResult><EncodingType>url</EncodingType>{more}{text}</ListBucketResult>".encode()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    server: Service

    def do_GET(self) -> None:
        self.server.step()
        parts = urlsplit(self.path)
        world, bucket, *rest = unquote(parts.path).lstrip("/").split("/", 2)
        bucket, key = f"{world}/{bucket}", "".join(rest)
        query = {name: unquote(values[0]) for name, values in parse_qs(parts.query).items()}
        file = self.server.folder / bucket / key
        body = None if key and not file.is_file() else file.read_bytes() if key else self.server.listing(bucket, query)
        self.send_response(404 if body is None else 200)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    made = Service(("127.0.0.1", 0), Handler)
    made.folder = tmp_path_factory.mktemp("buckets")
    threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


NUMBERS = st.integers(0, 7)
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("run"), NUMBERS, st.sampled_from(ENDS)),
        st.tuples(st.just("end"), NUMBERS, st.sampled_from(ENDS)),
        st.tuples(st.just("prune"), st.sets(NUMBERS, max_size=3)),
        st.tuples(st.just("tidy"), st.sampled_from(ENDS)),
    ),
    max_size=10,
)
PACE = st.lists(st.sampled_from([0, 0, 0, 1, 2, 3, 9]), min_size=1, max_size=12).filter(any)


class World:
    """What was done to a store, and what a reader that began in the middle of it finds therefore."""

    def __init__(self, folder: Path, before: list[Any], meanwhile: list[Any]) -> None:
        self.folder = folder
        self.status: dict[int, str] = {}  # of all that ever were; a run never comes again
        self.pruned: set[int] = set()
        self.writer = Recorder(str(folder / "written"))
        for action in before:
            self._act(*action)
        self.before, self.begun = dict(self.status), self.status.keys() - self.pruned
        shutil.copytree(folder / "written", folder / "read")
        self.writer.done.clear()
        for action in meanwhile:
            self._act(*action)

    def _act(self, what: str, argument: Any, status: str = "") -> None:
        if what == "run" and argument not in self.status:
            self.writer.begin(argument)
            self.status[argument] = "running"
        elif what == "end" and self.status.get(argument) == "running":
            self.writer.end(argument, status)
            self.status[argument] = status
        elif what == "prune":
            gone = {number for number in argument if self.status.get(number) in ENDS}
            self.writer.prune(gone)
            self.pruned |= gone
        elif what == "tidy":
            self.writer.tidy(argument)

    def replay(self, pace: list[int]) -> Replay:
        return Replay(str(self.folder / "read"), self.writer.done, pace)

    def judge(self, store: Store, reader: str) -> None:
        """Read a store whose requests do the steps."""
        if reader == "prune":
            kept = {run.id: run.status for run in retention.oldest_first(store)}
            must = {run_id(n): self.before[n] for n in self.begun - self.pruned if self.before[n] in ENDS}
            assert kept.items() >= must.items(), "what is called unlisted may go"
            return
        statuses, ends = (index.STATUSES, ENDS) if reader == "runs" else (index.FAILED, ("failed",))
        found = [run.id for run in index.newest(store, statuses=statuses)]
        assert found == sorted(set(found), reverse=True)
        listed = {run_id(n) for n in self.begun - self.pruned if self.status[n] in {"running", *ends}}
        assert listed <= set(found) <= {run_id(n) for n in self.status}


READERS = st.sampled_from(["runs", "runs --failed", "prune"])


@settings(max_examples=100, derandomize=True)
@given(before=ACTIONS, meanwhile=ACTIONS, pace=PACE, reader=READERS)
def test_of_a_folder(
    before: list[Any], meanwhile: list[Any], pace: list[int], reader: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    world = World(tmp_path_factory.mktemp("world"), before, meanwhile)
    store = Stepping(world.folder / "read")
    store.step = world.replay(pace)
    world.judge(store, reader)


@settings(max_examples=50, derandomize=True)
@given(before=ACTIONS, meanwhile=ACTIONS, pace=PACE, reader=READERS)
def test_of_a_bucket(before: list[Any], meanwhile: list[Any], pace: list[int], reader: str, service: Service) -> None:
    world = World(Path(tempfile.mkdtemp(dir=service.folder)), before, meanwhile)
    service.step = world.replay(pace)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "k")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "s")
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{service.server_port}/{world.folder.name}")
        patch.setattr(S3Store, "concurrency", 1)  # one request after the other: the same example is the same
        world.judge(open_store("s3://read"), reader)


class Late(FolderStore):
    """A folder that is tidied between the listing of a page and its reading."""

    tidied = False

    def read(self, key: str, *, limit: int) -> bytes | None:
        if "/page." in key and not self.tidied:
            self.tidied = True
            Recorder(str(self.folder)).tidy("failed")
        return super().read(key, limit=limit)


@pytest.mark.parametrize("reader", ["runs", "prune"])
def test_a_page_that_is_replaced_before_it_is_read(reader: str, tmp_path: Path) -> None:
    before = [("run", 5), ("end", 5, "failed"), ("tidy", "failed"), ("run", 1), ("end", 1, "failed")]
    world = World(tmp_path, before, [])
    store = Late(tmp_path / "read")
    world.judge(store, reader)
    assert store.tidied
