"""Every store that a run can be written to, against one suite; what was written is read by the other side."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from dsenv.agent.store import StoreWriteError, Writer, open_writer
from dsenv.agent.store.base import blob_key
from dsenv.agent.store.s3 import PART_SIZE, bucket_of
from dsenv.runs.store import Store, open_store

KEY = "runs/2026/01/02/20260102T030405-000000-abcd/record.json"


class WriterConformance:
    """Subclasses give `writer` and `reader` of the same empty store."""

    @pytest.fixture
    def writer(self) -> Writer:
        raise NotImplementedError

    @pytest.fixture
    def reader(self) -> Store:
        raise NotImplementedError

    def test_what_is_put_is_read(self, writer: Writer, reader: Store) -> None:
        writer.put(KEY, b"one")
        assert reader.read(KEY, limit=100) == b"one"
        writer.put(KEY, b"")
        assert reader.read(KEY, limit=100) == b""

    def test_exists_and_delete(self, writer: Writer, reader: Store) -> None:
        assert not writer.exists(KEY)
        writer.put(KEY, b"x")
        assert writer.exists(KEY)
        writer.delete(KEY)
        writer.delete(KEY)
        assert not writer.exists(KEY)
        assert reader.read(KEY, limit=1) is None

    def test_a_file_of_any_size(self, writer: Writer, reader: Store, tmp_path: Path) -> None:
        for size in (0, 10, PART_SIZE + 5):
            data = os.urandom(1024) * (size // 1024) + os.urandom(size % 1024)
            file = tmp_path / "big"
            file.write_bytes(data)
            writer.put_file(f"sizes/{size}", str(file))
            assert reader.size(f"sizes/{size}") == size
            assert reader.read(f"sizes/{size}", limit=1 << 30) == data

    def test_a_blob_is_stored_once_by_its_digest(self, writer: Writer, reader: Store, tmp_path: Path) -> None:
        digest = writer.blob(b"content")
        assert digest == hashlib.sha256(b"content").hexdigest()
        assert reader.read(blob_key(digest), limit=100) == b"content"
        file = tmp_path / "content"
        file.write_bytes(b"content")
        writer.blob_file(str(file), digest)
        assert file.exists(), "there was nothing to store"
        assert writer.blob(b"content") == digest

    def test_a_log_is_there_before_it_is_closed(self, writer: Writer, reader: Store) -> None:
        log = writer.log("runs/output")
        log.write(b"first ")
        log.flush()
        assert self.joined(reader) == b"first "
        log.write(b"second")
        log.close()
        assert self.joined(reader) == b"first second"

    def joined(self, reader: Store) -> bytes:
        names = sorted(name for name in reader.children("runs/") if name.startswith("output"))
        return b"".join(reader.read("runs/" + name, limit=1 << 20) or b"" for name in names)

    def test_small_things_are_read_and_listed_by_the_writer_itself(self, writer: Writer) -> None:
        assert writer.read("index/none") is None
        assert list(writer.names("index/none/")) == []
        for name in ("a.json", "b &+%20.json", "é☃.json"):
            writer.put("index/day/" + name, name.encode())
        writer.put("index/day/below/c.json", b"not directly there")
        assert sorted(writer.names("index/day/")) == ["a.json", "b &+%20.json", "é☃.json"]
        assert writer.read("index/day/é☃.json") == "é☃.json".encode()

    def test_what_is_claimed_is_there_and_young(self, writer: Writer) -> None:
        assert not writer.claim(KEY)
        writer.put(KEY, b"x")
        assert writer.claim(KEY)

    def test_everything_is_listed_and_deleted(self, writer: Writer, reader: Store) -> None:
        keys = ["runs/a/1", "runs/a/b/2", "runs/c é&+", "index/x"]
        for key in keys:
            writer.put(key, key.encode())
        found = {item.key: item.size for item in reader.everything("runs/")}
        assert found == {key: len(key.encode()) for key in keys[:3]}
        assert list(reader.everything("blobs/")) == []
        reader.delete(["runs/a/1", "runs/never/there"])
        reader.delete(f"runs/{number}" for number in range(1500))
        assert {item.key for item in reader.everything("runs/")} == set(keys[1:3])
        writer.put("runs/a/1", b"again")
        assert reader.read("runs/a/1", limit=10) == b"again"

    def test_what_is_below_some_folders(self, writer: Writer, reader: Store) -> None:
        """Those that are asked for, however many there are, and nothing of what lies between or below."""
        for number in range(3):
            for folder in ("failed", "failed2", "lost/deep", "running", "succeeded"):
                writer.put(f"index/day/{folder}/{number}", b"x")
        writer.put("index/day/failed3", b"no folder")
        names = {"0", "1", "2"}
        assert reader.below("index/day/", ["running", "failed", "lost"]) == {"failed": names, "running": names}
        assert reader.below("index/day/", ["succeeded"]) == {"succeeded": names}
        assert reader.below("index/none/", ["failed"]) == {}

    def test_it_is_read_by_and_by(self, writer: Writer, reader: Store) -> None:
        assert reader.open(KEY) is None
        data = bytes(range(256)) * 1000
        writer.put(KEY, data)
        stream = reader.open(KEY)
        assert stream is not None
        with stream:
            assert stream.read(10) == data[:10]
            assert reader.size(KEY) == len(data), "others are read meanwhile"
            assert stream.read() == data[10:] and stream.read(1) == b""

    def test_the_reader_knows_its_writer(self, writer: Writer, reader: Store) -> None:
        reader.writer().put(KEY, b"x")
        assert writer.read(KEY) == b"x"
        assert reader.writer().url == writer.url == reader.url

    def test_only_the_old_are_deleted_as_old(self, writer: Writer, reader: Store) -> None:
        writer.put("blobs/a", b"x")
        now = time.time()
        assert reader.delete_old(["blobs/a", "blobs/none"], now - 3600) == 0
        assert writer.exists("blobs/a")
        assert reader.delete_old(["blobs/a", "blobs/none"], now + 3600) == 1
        assert not writer.exists("blobs/a")

    def test_odd_names(self, writer: Writer, reader: Store) -> None:
        key = "odd/a b+c%20d~é☃='&?#"
        writer.put(key, b"odd")
        assert reader.read(key, limit=10) == b"odd"

    def test_many_threads(self, writer: Writer, reader: Store) -> None:
        failures: list[BaseException] = []

        def work(number: int) -> None:
            try:
                for index in range(5):
                    writer.put(f"threads/{number}-{index}", b"%d" % number)
                    writer.blob(b"the same")
            except StoreWriteError as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures
        assert len(list(reader.children("threads/"))) == 20


class TestFolderWriter(WriterConformance):
    @pytest.fixture
    def writer(self, tmp_path: Path) -> Writer:
        return open_writer(str(tmp_path / "store"), {})

    @pytest.fixture
    def reader(self, tmp_path: Path, writer: Writer) -> Store:
        return open_store(str(tmp_path / "store"))


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


class TestS3Writer(WriterConformance):
    @pytest.fixture
    def url(self, endpoint: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "test")
        monkeypatch.setenv("AWS_REGION", "us-east-1")
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        bucket = "b" + hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:20]
        assert bucket_of(f"s3://{bucket}", os.environ).send("PUT", None, []).status == 200
        return f"s3://{bucket}/team/churn"

    @pytest.fixture
    def writer(self, url: str) -> Writer:
        return open_writer(url, os.environ)

    @pytest.fixture
    def reader(self, url: str) -> Store:
        return open_store(url)
