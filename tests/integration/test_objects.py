"""A program reads objects from S3; it fails again when there is no S3 any more."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer
from uv import find_uv_bin

from dsenv.agent import schema
from dsenv.events import Cancel, ignore
from dsenv.runs import index
from dsenv.runs.record import Record
from dsenv.runs.store.folder import FolderStore
from dsenv.workflows import reproduce as workflow
from dsenv.workflows.reproduce.model import Reproduction

KEYS = {
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
}
PROGRAM = """
import hashlib
import boto3
from botocore.exceptions import ClientError

client = boto3.client("s3")
found = [(item["Key"], item["Size"]) for item in client.list_objects_v2(Bucket="acme-in", Prefix="day/")["Contents"]]
first = client.get_object(Bucket="acme-in", Key="day/1.csv")
head = client.head_object(Bucket="acme-in", Key="day/1.csv")
assert head["VersionId"] == first["VersionId"] and head["LastModified"].tzinfo
lines = [line.decode() for line in first["Body"].iter_lines()]
part = client.get_object(Bucket="acme-in", Key="day/2.csv")["Body"].read(3).decode()
client.download_file("acme-in", "large", "large.bin")
with open("large.bin", "rb") as file:
    digest = hashlib.sha256(file.read()).hexdigest()
client.put_object(Bucket="acme-in", Key="out", Body=b"result")
errors = []
for call in (client.get_object, client.head_object):
    try:
        call(Bucket="acme-in", Key="none")
    except ClientError as error:
        errors.append(type(error).__name__ + error.response["Error"]["Code"])
listed = [item.key for item in boto3.resource("s3").Bucket("acme-in").objects.all()]
raise LookupError(repr((found, lines, part, errors, listed)), digest)
"""


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadedMotoServer]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {**KEYS, "AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    import boto3

    client = boto3.session.Session().client("s3")
    client.create_bucket(Bucket="acme-in")
    client.put_bucket_versioning(Bucket="acme-in", VersioningConfiguration={"Status": "Enabled"})
    for number in range(3):
        client.put_object(Bucket="acme-in", Key=f"day/{number}.csv", Body=f"a,b\n1,{number}\n".encode())
    client.put_object(Bucket="acme-in", Key="large", Body=bytes(range(256)) * (40 << 10))
    yield server
    server.stop()


def _capture(folder: Path, program: str, python: str = sys.executable) -> Record:
    project = folder / "app"
    project.mkdir()
    (project / "pyproject.toml").touch()
    (project / "job.py").write_text(program)
    store = folder / "store"
    words = [sys.executable, "-m", "dsenv.agent", "capture", "--store", str(store), "--", python, "job.py"]
    done = subprocess.run(words, cwd=project, check=False, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    (found,) = index.newest(FolderStore(store))
    return Record(FolderStore(store), found.id)


def _reproduce(record: Record, server: ThreadedMotoServer, monkeypatch: pytest.MonkeyPatch) -> Reproduction:
    server.stop()
    for name in (*KEYS, "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name)
    return workflow.reproduce(record, workflow.Options(isolation="redirect"), emit=ignore, cancel=Cancel())


def test_objects_come_back_without_network_or_credentials(
    s3: ThreadedMotoServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = _capture(tmp_path, PROGRAM)
    assert record.data["trouble"] == []
    objects = [item for item in record.inputs() if item.get("how") == "botocore"]
    first = next(item for item in objects if item["path"] == "s3://acme-in/day/1.csv" and "blob" in item)
    assert record.blob(first["blob"]) == b"a,b\n1,1\n"
    assert first["version"] and first["etag"]
    part = next(item for item in objects if item["path"] == "s3://acme-in/day/2.csv")
    assert record.blob(part["blob"]) == b"a,b" and part["note"] == "only the first 3 of 8 bytes were read, or kept"
    listing = next(item for item in objects if item["call"].startswith("ListObjectsV2"))
    assert listing["entries"] == ["day/0.csv", "day/1.csv", "day/2.csv"]

    result = _reproduce(record, s3, monkeypatch)
    assert result.recorded is not None and result.recorded["type"] == "LookupError"
    assert result.verdict == "same-failure", (result.recorded, result.observed)
    assert {item.name for item in result.restored if item.what == "object"} >= {"s3://acme-in/day/1.csv"}
    every = b"".join(path.read_bytes() for path in (tmp_path / "store").rglob("*") if path.is_file())
    assert KEYS["AWS_SECRET_ACCESS_KEY"].encode() not in every


def test_what_was_not_recorded_cannot_be_reached_and_that_is_said(
    s3: ThreadedMotoServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = _capture(tmp_path, 'import boto3\nboto3.client("dynamodb").list_tables()\nraise ValueError("after it")\n')
    assert [item for item in record.inputs() if item.get("how") == "botocore"] == []
    result = _reproduce(record, s3, monkeypatch)
    assert result.observed is not None
    assert (result.verdict, result.observed["type"]) == (
        "different-failure",
        "botocore.exceptions.EndpointConnectionError",
    )
    told = [item for item in result.not_restored if item.what == "object"]
    assert told and "dynamodb ListTables was not recorded" in told[-1].note


def _message(frames: schema.Frames) -> str:
    return str(frames["failures"][frames["primary"] or 0]["exceptions"][0]["message"])


THROUGH_PANDAS = """
import hashlib
import pandas
import s3fs

files = s3fs.S3FileSystem()
listed = files.ls("acme-in/day")
with files.open("acme-in/large", "rb") as file:
    file.seek(7_000_000)
    part = file.read(100)
digests = [hashlib.sha256(data).hexdigest()[:12] for data in (part, files.cat_file("acme-in/large"))]
table = pandas.read_csv("s3://acme-in/day/1.csv")
try:
    files.open("acme-in/none.csv").read()
except FileNotFoundError as error:
    raise LookupError(repr((listed, digests, table.to_dict("list"), str(error)))) from None
"""


@pytest.mark.slow
@pytest.mark.network
def test_what_pandas_reads_from_s3_comes_back(
    s3: ThreadedMotoServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """s3fs awaits its calls, through aiobotocore, which wants a botocore of its own."""
    uv, python = find_uv_bin(), str(tmp_path / "env/bin/python")
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(tmp_path / "env")], check=True)
    subprocess.run([uv, "pip", "install", "-q", "--python", python, "s3fs", "pandas"], check=True)
    record = _capture(tmp_path, THROUGH_PANDAS, python)
    assert record.data["trouble"] == []
    table = next(item for item in record.inputs() if item["path"] == "s3://acme-in/day/1.csv" and "blob" in item)
    assert record.blob(table["blob"]) == b"a,b\n1,1\n"
    result = _reproduce(record, s3, monkeypatch)
    assert result.verdict == "same-failure", (result.recorded, result.observed)
    assert result.frames is not None and _message(result.frames) == _message(record.frames()), "digests and all"
    assert not [item for item in result.not_restored if item.what == "object" and item.name.startswith("s3://")]
