"""What the suite for all stores cannot ask: credentials, addresses, signatures, refusals."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from dsenv.agent.store import StoreWriteError, bucket, open_writer
from dsenv.agent.store import credentials as aws
from dsenv.agent.store import s3 as module
from dsenv.agent.store.base import blob_key
from dsenv.agent.store.folder import FolderWriter
from dsenv.agent.store.s3 import S3Writer, bucket_of
from dsenv.agent.store.sigv4 import Credentials, encode_path, encode_query, sign
from tests.unit.agent.store.conftest import KEYS, Answerer

OFFERED = {"AccessKeyId": "a", "SecretAccessKey": "b", "Token": "t", "Expiration": "2099-01-01T00:00:00Z"}


def test_the_signature_of_the_services_own_example() -> None:
    """GET Object of the S3 documentation, "Signature Calculations for the Authorization Header"."""
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    keys = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    headers = {"host": "examplebucket.s3.amazonaws.com", "range": "bytes=0-9"}
    signed = sign(("GET", "/test.txt", ""), headers, empty, keys, "us-east-1", now=1369353600)
    assert signed["Authorization"].endswith("f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41")


def test_encoding() -> None:
    assert encode_path("a b/é~+") == "a%20b/%C3%A9~%2B"
    assert encode_query([("b", "x/y"), ("a", "")]) == "a=&b=x%2Fy"


def test_credentials_from_the_environment_and_the_shared_files(tmp_path: Path) -> None:
    assert aws.find(KEYS | {"AWS_SESSION_TOKEN": "t"}) == Credentials("k", "s", "t")
    (tmp_path / "credentials").write_text("[default]\naws_access_key_id=d\naws_secret_access_key=e\n")
    (tmp_path / "config").write_text(
        "[profile p]\nregion = eu-north-1\naws_access_key_id=f\naws_secret_access_key=g\naws_session_token=h\n"
    )
    files = {
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "HOME": str(tmp_path),
    }
    assert aws.find(files) == Credentials("d", "e")
    assert aws.find(files | {"AWS_PROFILE": "p"}) == Credentials("f", "g", "h")
    assert aws.region(files | {"AWS_PROFILE": "p"}) == "eu-north-1"
    assert aws.region(files) == "us-east-1"
    (tmp_path / "config").write_bytes(b"\xff not a file of ours")
    with pytest.raises(StoreWriteError, match="no AWS credentials"):
        aws.find(files | {"AWS_PROFILE": "p"})


def test_credentials_of_a_container(server: Callable[[Answerer], str], tmp_path: Path) -> None:
    seen: list[str | None] = []

    def answer(request: BaseHTTPRequestHandler) -> tuple[int, bytes]:
        seen.append(request.headers.get("Authorization"))
        return (200, json.dumps(OFFERED).encode()) if request.path == "/role?x=1" else (404, b"")

    url = server(answer)
    home = {"HOME": str(tmp_path)}
    found = aws.find(
        home | {"AWS_CONTAINER_CREDENTIALS_FULL_URI": url + "/role?x=1", "AWS_CONTAINER_AUTHORIZATION_TOKEN": "T"}
    )
    assert (found.access_key, found.token, seen) == ("a", "t", ["T"]) and found.expires > 4e9
    (tmp_path / "token").write_text("from-file\n")
    file = {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(tmp_path / "token")}
    aws.find(home | file | {"AWS_CONTAINER_CREDENTIALS_FULL_URI": url + "/role?x=1"})
    assert seen[-1] == "from-file"
    with pytest.raises(StoreWriteError, match="refuses credentials: 404"):
        aws.find(home | {"AWS_CONTAINER_CREDENTIALS_FULL_URI": url + "/other"})
    with pytest.raises(StoreWriteError, match="not a local address"):
        aws.find(home | {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://evil.example.invalid/x"})
    with pytest.raises(StoreWriteError, match="cannot read"):
        missing = {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(tmp_path / "absent")}
        aws.find(home | missing | {"AWS_CONTAINER_CREDENTIALS_FULL_URI": url})


def test_credentials_of_an_instance_need_a_token_first(server: Callable[[Answerer], str], tmp_path: Path) -> None:
    def answer(request: BaseHTTPRequestHandler) -> tuple[int, bytes]:
        if request.command == "PUT" and request.path == "/latest/api/token":
            return 200, b"the-token"
        if request.headers.get("X-aws-ec2-metadata-token") != "the-token":
            return 401, b""
        if request.path.endswith("/security-credentials/"):
            return 200, b"my-role\n"
        return 200, json.dumps(OFFERED).encode()

    home = {"HOME": str(tmp_path)}
    assert aws.find(home | {"AWS_EC2_METADATA_SERVICE_ENDPOINT": server(answer)}).access_key == "a"
    for bad in (lambda request: (404, b""), lambda request: (200, b"")):
        with pytest.raises(StoreWriteError, match="no AWS credentials"):
            aws.find(home | {"AWS_EC2_METADATA_SERVICE_ENDPOINT": server(bad)})
    with pytest.raises(StoreWriteError, match="no AWS credentials"):
        aws.find(home | {"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:9"})


@pytest.mark.parametrize("body", [b"not json", b"[]", b'{"AccessKeyId": "a"}'])
def test_credentials_that_cannot_be_read(body: bytes, server: Callable[[Answerer], str], tmp_path: Path) -> None:
    with pytest.raises(StoreWriteError, match="cannot be read"):
        aws.find({"HOME": str(tmp_path), "AWS_CONTAINER_CREDENTIALS_FULL_URI": server(lambda request: (200, body))})


def test_where_a_bucket_is() -> None:
    assert aws.place("", "acme", "eu-west-1") == ("https", "acme.s3.eu-west-1.amazonaws.com", 443, "")
    assert aws.place("", "a.b", "eu-west-1") == ("https", "s3.eu-west-1.amazonaws.com", 443, "/a.b")
    assert aws.place("", "acme", "cn-north-1").host == "acme.s3.cn-north-1.amazonaws.com.cn"
    given = aws.given_endpoint({"AWS_ENDPOINT_URL": "http://minio:9000/base/", "AWS_ENDPOINT_URL_S3": ""})
    assert aws.place(given, "acme", "x") == ("http", "minio", 9000, "/base/acme")
    assert aws.place(given, "acme", "x").authority == "minio:9000"
    assert aws.place("https://s3.example.invalid", "b", "x").authority == "s3.example.invalid"
    assert aws.place("http://[::1]:9000", "b", "x").authority == "[::1]:9000"
    for odd in ("localhost:9000", "minio", "https://", "http://host:port", "http://[::1"):
        with pytest.raises(StoreWriteError, match="is not an address"):
            aws.place(odd, "b", "x")


def writer(url: str) -> S3Writer:
    return S3Writer(bucket_of("s3://acme/p", KEYS | {"AWS_ENDPOINT_URL": url}))


def test_trouble_that_passes_is_waited_out(server: Callable[[Answerer], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket, "_FIRST_DELAY", 0.001)
    answers = iter([(503, b""), (500, b""), (400, b"<Code>ExpiredToken</Code>"), (200, b"")])
    writer(server(lambda request: next(answers))).put("k", b"x")
    assert next(answers, None) is None


def test_a_service_that_stays_away_is_asked_less_and_less(
    server: Callable[[Answerer], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket, "_FIRST_DELAY", 0.001)
    seen: list[str] = []

    def answer(request: BaseHTTPRequestHandler) -> tuple[int, bytes]:
        seen.append(request.path)
        return 503, b""

    made = writer(server(answer))
    for seconds, expected in ((float("inf"), bucket.PATIENT.attempts), (0.0, 0), (bucket._REST_SECONDS, 1)):
        seen.clear()
        made._bucket._failed = time.monotonic() - seconds
        with pytest.raises(StoreWriteError, match="cannot reach s3://acme/p: "):
            made.put("k", b"x")
        assert len(seen) == expected
    assert seen[0] == "/acme/p/k"


def test_refusals_say_why(server: Callable[[Answerer], str]) -> None:
    made = writer(server(lambda request: (403, b"<Error><Code>AccessDenied</Code></Error>")))
    with pytest.raises(StoreWriteError, match="s3://acme/p refuses PUT k: 403 AccessDenied"):
        made.put("k", b"x")
    assert made.exists("k") is False, "who may not look may still write"
    made = writer(server(lambda request: (409, b"")))
    with pytest.raises(StoreWriteError, match="HEAD"):
        made.exists("k")


def test_an_upload_in_parts_that_fails_is_given_up(
    server: Callable[[Answerer], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PART_SIZE", 10)
    file = tmp_path / "large"
    file.write_bytes(b"x" * 25)
    seen: list[str] = []

    def answer(request: BaseHTTPRequestHandler) -> tuple[int, bytes]:
        seen.append(f"{request.command} {request.path.partition('?')[2]}")
        if request.path.endswith("uploads="):
            return 200, b"<UploadId>a&amp;b</UploadId>"
        return 200, b"<Error><Code>InternalError</Code></Error>" if request.command == "POST" else b""

    with pytest.raises(StoreWriteError, match="InternalError"):
        writer(server(answer)).put_file("k", str(file))
    assert [item.split()[0] for item in seen] == ["POST", "PUT", "PUT", "PUT", "POST", "DELETE"]
    assert seen[-1] == "DELETE uploadId=a%26b"
    with pytest.raises(StoreWriteError, match="did not begin"):
        writer(server(lambda request: (200, b""))).put_file("k", str(file))
    with pytest.raises(StoreWriteError, match="cannot read"):
        writer("http://127.0.0.1:9").put_file("k", str(tmp_path / "absent"))


@pytest.mark.parametrize("url", ["s3://", "s3://UPPER/x", "gs://bucket/x"])
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(StoreWriteError):
        open_writer(url, {})


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreWriteError, match=r"cannot write .*store: File exists"):
        open_writer(str(tmp_path / "file" / "store"), {})
    made = FolderWriter(str(tmp_path / "store"))
    (tmp_path / "store" / "taken").mkdir()
    with pytest.raises(StoreWriteError, match="cannot write"):
        made.put("taken", b"x")
    with pytest.raises(StoreWriteError, match="No such file"):
        made.put_file("k", str(tmp_path / "absent"))
    assert [path.name for path in (tmp_path / "store").iterdir()] == ["taken"], "nothing half-written stays"


def test_a_file_of_another_file_system_is_copied(tmp_path: Path) -> None:
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system here")
    source = other / f"dsenv-test-{os.getpid()}"
    source.write_bytes(b"far")
    try:
        FolderWriter(str(tmp_path / "store")).put_file("k", str(source))
    finally:
        source.unlink(missing_ok=True)
    assert (tmp_path / "store" / "k").read_bytes() == b"far"


def test_blob_keys() -> None:
    assert blob_key("ab" + "0" * 62) == "blobs/sha256/ab/ab" + "0" * 62
