"""Requests to a bucket: connections that rest, hang up, break off or go through a proxy; a bucket that is elsewhere."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from dsenv.agent.store import bucket as module
from dsenv.agent.store.bucket import Bucket, Patience, RefusedError, TooLargeError, UnreachableError, Way
from dsenv.agent.store.credentials import Keys
from dsenv.agent.store.s3 import bucket_of
from dsenv.agent.store.sigv4 import Credentials
from tests.tls import self_signed
from tests.unit.agent.store.conftest import KEYS, Answerer

ONCE = Patience(attempts=1)
Serve = Callable[[Answerer], str]


def bucket(url: str) -> Bucket:
    return bucket_of("s3://acme/p", KEYS | {"AWS_ENDPOINT_URL": url})


@pytest.fixture
def raw() -> Iterator[Callable[[list[bytes]], str]]:
    """A service that gives each connection one of some answers, byte for byte, and hangs up."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(answers: list[bytes]) -> str:
        def work() -> None:
            for answer in answers:
                link, _ = listener.accept()
                with link:
                    link.recv(1 << 16)
                    link.sendall(answer)

        threading.Thread(target=work, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield serve
    listener.close()


def answer(body: bytes, length: int) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (length, body)


def test_a_connection_serves_one_request_after_the_other(server: Serve) -> None:
    seen: list[object] = []

    def say(request: BaseHTTPRequestHandler) -> tuple[int, bytes]:
        seen.append(request.client_address)
        return 200, b"x" * 1000

    made = bucket(server(say))
    assert made.request("GET", "a", []).body == b"x" * 1000
    assert made.request("HEAD", "a", []).headers["content-length"] == "1000"
    rest = made.request("GET", "a", [], unread=True).rest
    assert rest is not None and rest.read(600) + rest.read(600) == b"x" * 1000 and rest.read(1) == b""
    rest.close()
    made.request("PUT", "a", [], b"y")
    assert len(set(seen)) == 1
    rest = made.request("GET", "a", [], unread=True).rest
    assert rest is not None and rest.read(1) == b"x"
    rest.close()
    made.request("GET", "a", [])
    assert len(set(seen)) == 2, "what is left of an answer must not become the next one"


def test_a_service_that_hung_up_on_a_resting_connection_is_not_away(raw: Callable[[list[bytes]], str]) -> None:
    url = raw([answer(b"one", 3), answer(b"two", 3)])
    made = Bucket("s3://acme/p", Keys(lambda: Credentials("k", "s")), Way("x", url), ONCE)
    assert made.request("GET", "a", []).body == b"one"
    assert made.request("GET", "a", []).body == b"two"


def test_an_answer_that_breaks_off_is_asked_for_again(
    raw: Callable[[list[bytes]], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_FIRST_DELAY", 0.001)
    made = bucket(raw([answer(b"ab", 4), answer(b"abcd", 4), answer(b"ab", 4), answer(b"abcd", 4)]))
    assert made.request("GET", "a", []).body == b"abcd"
    assert made.request("GET", "a", [], limit=4).body == b"abcd"


def test_a_stream_that_breaks_off_says_so(raw: Callable[[list[bytes]], str]) -> None:
    rest = bucket(raw([answer(b"ab", 4)])).request("GET", "a", [], unread=True).rest
    assert rest is not None and rest.read(2) == b"ab"
    with pytest.raises(UnreachableError, match="broke off 2 bytes before the end"):
        rest.read(2)
    rest.close()


def test_limits_are_of_contents_and_not_of_what_a_refusal_says(server: Serve) -> None:
    refusal = b"<Error><Code>AccessDenied</Code></Error>"
    made = bucket(server(lambda request: (403, refusal) if request.path.endswith("no") else (200, b"12345")))
    assert made.request("GET", "a", [], limit=5).body == b"12345"
    with pytest.raises(TooLargeError, match="s3://acme/p/a has more than 4 bytes"):
        made.request("GET", "a", [], limit=4)
    with pytest.raises(RefusedError, match="AccessDenied") as caught:
        made.request("GET", "no", [], limit=4)
    assert (caught.value.status, caught.value.code) == (403, "AccessDenied")


def test_a_bucket_in_another_region_is_found_there(server: Serve) -> None:
    """The service says where: in a header, or in the refusal of a signature for the wrong region."""
    asked: list[str] = []

    def say(request: BaseHTTPRequestHandler) -> tuple[int, bytes]:
        region = request.headers["Authorization"].split("/")[2]
        asked.append(region)
        if region == "eu-west-1":
            return 400, b"<Error><Code>AuthorizationHeaderMalformed</Code><Region>us-east-2</Region></Error>"
        return 200, b"here"

    made = bucket(server(say))
    threads = [threading.Thread(target=made.request, args=("GET", "a", [])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made.request("GET", "a", []).body == b"here"
    assert asked.count("us-east-2") == 5 and asked[-1] == "us-east-2"


def test_what_stays_of_a_deletion_is_told(server: Serve) -> None:
    said: list[tuple[str, str | None]] = []

    def say(request: BaseHTTPRequestHandler) -> tuple[int, bytes]:
        said.append((request.path, request.headers["Content-MD5"]))
        return 200, b"<DeleteResult><Error><Key>p/b&amp;c</Key><Code>AccessDenied</Code></Error></DeleteResult>"

    assert bucket(server(say)).delete_all(["a<", "b&c"]) == [("b&c", "AccessDenied")]
    (path, digest) = said[0]
    body = (
        b'<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Quiet>true</Quiet>'
        b"<Object><Key>p/a&lt;</Key></Object><Object><Key>p/b&amp;c</Key></Object></Delete>"
    )
    assert path == "/acme/?delete="
    assert digest == base64.b64encode(hashlib.md5(body).digest()).decode()


def test_a_proxy_of_the_environment_is_used(server: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, str | None, str]] = []

    def say(request: BaseHTTPRequestHandler) -> tuple[int, bytes]:
        seen.append((request.path, request.headers["Proxy-Authorization"], request.headers["Host"]))
        return 200, b"through"

    address = server(say).removeprefix("http://")
    monkeypatch.setenv("http_proxy", f"http://me:it%3A@{address}")
    assert bucket("http://s3.example.invalid").request("GET", "a", []).body == b"through"
    who = "Basic " + base64.b64encode(b"me:it:").decode()
    assert seen == [("http://s3.example.invalid/acme/p/a", who, "s3.example.invalid")]
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert bucket(f"http://{address}").request("GET", "a", []).body == b"through"
    assert seen[-1] == ("/acme/p/a", None, address)


def test_a_proxy_for_https_is_asked_for_a_tunnel(
    raw: Callable[[list[bytes]], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", raw([b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"] * 5))
    monkeypatch.setattr(module, "_FIRST_DELAY", 0.001)
    with pytest.raises(UnreachableError, match="Tunnel connection failed: 407"):
        bucket("https://s3.example.invalid").request("GET", "a", [])


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    return self_signed(tmp_path)


def test_a_service_must_have_a_certificate_that_is_trusted(certificate: Path) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def work() -> None:
        for _ in range(2):
            link, _ = listener.accept()
            with link, contextlib.suppress(OSError), context.wrap_socket(link, server_side=True) as secure:
                secure.recv(1 << 16)
                secure.sendall(answer(b"safe", 4))

    thread = threading.Thread(target=work)
    thread.start()
    where = KEYS | {"AWS_ENDPOINT_URL": f"https://localhost:{listener.getsockname()[1]}"}
    trusting = bucket_of("s3://acme/p", where | {"AWS_CA_BUNDLE": str(certificate)})
    assert trusting.request("GET", "a", []).body == b"safe"
    doubting = Bucket("s3://acme/p", Keys(lambda: Credentials("k", "s")), Way("x", where["AWS_ENDPOINT_URL"]), ONCE)
    with pytest.raises(UnreachableError, match="certificate verify failed"):
        doubting.request("GET", "a", [])
    thread.join()
    listener.close()


@pytest.mark.parametrize("encoded", [True, False])
def test_listings_of_services_that_encode_names_and_of_those_that_do_not(server: Serve, encoded: bool) -> None:
    key, mark = ("p/d/a+%26%2B", "<EncodingType>url</EncodingType>") if encoded else ("p/d/a &amp;+", "")
    text = (
        f"<ListBucketResult>{mark}<Contents><Key>{key}</Key><LastModified>2026-03-01T00:00:00.000Z</LastModified>"
        f"<Size>7</Size></Contents><CommonPrefixes>\n<Prefix>p/d/e/</Prefix></CommonPrefixes></ListBucketResult>"
    )
    (page,) = bucket(server(lambda request: (200, text.encode()))).listing("d/")
    assert page.items == [("d/a &+", 7, "2026-03-01T00:00:00.000Z")]
    assert page.folders == ["d/e/"]


def test_a_listing_that_does_not_go_on_is_ended(server: Serve) -> None:
    same = b"<ListBucketResult><NextContinuationToken>a</NextContinuationToken></ListBucketResult>"
    with pytest.raises(RefusedError, match="the same page"):
        list(bucket(server(lambda request: (200, same))).listing("d/"))
