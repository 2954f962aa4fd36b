"""A store in an S3 bucket, written with nothing but the standard library."""

from __future__ import annotations

import hashlib
import http.client
import os
import random
import re
import ssl
import threading
import time
from email.utils import parsedate_to_datetime
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Tuple
from urllib.parse import unquote_plus

from dsenv.agent.store import credentials as aws
from dsenv.agent.store.base import CLAIM_SECONDS, Log, StoreWriteError, Writer
from dsenv.agent.store.sigv4 import Credentials, encode_path, encode_query, sign

PART_SIZE = 16 << 20
_ATTEMPTS = 5
_FIRST_DELAY, _LONGEST_DELAY = 0.2, 5.0
_TIMEOUT = 10.0
_REST_SECONDS, _DOWN_SECONDS = 5.0, 60.0
_RETRIED = frozenset([408, 429, 500, 502, 503, 504])
_URL = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?", re.DOTALL)
_EXPIRY_MARGIN = 300.0
_LOG_PART = 4 << 20
_LOG_SECONDS = 5.0

Query = List[Tuple[str, str]]


class Answer(NamedTuple):
    """What the service said."""

    status: int
    headers: Dict[str, str]  # names in lower case
    body: bytes


class S3Writer(Writer):
    """Objects under `s3://bucket/prefix`. Each thread has a connection of its own."""

    def __init__(self, url: str, environ: Mapping[str, str]) -> None:
        match = _URL.fullmatch(url)
        if match is None:
            raise StoreWriteError("{} is not the address of a bucket: write s3://bucket/prefix".format(url))
        prefix = (match.group(2) or "").strip("/")
        super().__init__("s3://{}{}".format(match.group(1), "/" + prefix if prefix else ""))
        self._bucket, self._prefix = match.group(1), prefix + "/" if prefix else ""
        self._environ = dict(environ)
        self._region = aws.region(environ)
        self._scheme, self._host, self._port, self._base = aws.endpoint(environ, self._bucket, self._region)
        self._credentials: Optional[Credentials] = None
        self._failed = float("-inf")  # when the service could not be reached
        self._lock = threading.Lock()
        self._local = threading.local()

    def put(self, key: str, data: bytes) -> None:
        self._checked("PUT", key, [], data)

    def put_file(self, key: str, path: str) -> None:
        try:
            size = os.path.getsize(path)
            with open(path, "rb") as file:
                if size <= PART_SIZE:
                    self.put(key, file.read())
                else:
                    self._put_parts(key, file)
        except OSError as error:
            raise StoreWriteError("cannot read {}: {}".format(path, error.strerror)) from error

    def exists(self, key: str) -> bool:
        answer = self._send("HEAD", key, [], b"")
        if answer.status in (200, 404):
            return answer.status == 200
        if answer.status == 403:
            return False  # allowed to write but not to list; writing again is harmless
        raise self._refused("HEAD", key, answer)

    def claim(self, key: str) -> bool:
        answer = self._send("HEAD", key, [], b"")
        if answer.status != 200:
            return False
        try:
            written = parsedate_to_datetime(answer.headers.get("last-modified", "")).timestamp()
        except (TypeError, ValueError):
            return False
        return time.time() - written < CLAIM_SECONDS

    def delete(self, key: str) -> None:
        self._checked("DELETE", key, [], b"", also=(404,))

    def read(self, key: str) -> Optional[bytes]:
        answer = self._checked("GET", key, [], b"", also=(404,))
        return None if answer.status == 404 else answer.body

    def names(self, prefix: str) -> Iterator[str]:
        full = self._prefix + prefix
        query = [("list-type", "2"), ("prefix", full), ("delimiter", "/"), ("encoding-type", "url")]
        token = ""
        while True:
            more = [("continuation-token", token)] if token else []
            answer = self._checked("GET", None, query + more, b"")
            for key in re.findall(rb"<Key>([^<]*)</Key>", answer.body):
                yield unquote_plus(key.decode("utf-8", "replace"))[len(full) :]
            found = re.search(rb"<NextContinuationToken>([^<]+)</NextContinuationToken>", answer.body)
            if found is None:
                return
            token = found.group(1).decode("utf-8", "replace").replace("&amp;", "&")

    def log(self, key: str) -> Log:
        return ObjectLog(self, key)

    def _put_parts(self, key: str, file: Any) -> None:
        begun = self._checked("POST", key, [("uploads", "")], b"")
        found = re.search(rb"<UploadId>([^<]+)</UploadId>", begun.body)
        if found is None:
            raise StoreWriteError("{} did not begin an upload of {}".format(self.url, key))
        upload = found.group(1).decode().replace("&amp;", "&")
        try:
            self._send_parts(key, file, upload)
        except (StoreWriteError, OSError):
            self._send("DELETE", key, [("uploadId", upload)], b"")
            raise

    def _send_parts(self, key: str, file: Any, upload: str) -> None:
        lines = []
        for number in range(1, 10_001):
            data = file.read(PART_SIZE)
            if not data:
                break
            answer = self._checked("PUT", key, [("partNumber", str(number)), ("uploadId", upload)], data)
            tag = answer.headers.get("etag", "")
            lines.append("<Part><PartNumber>{}</PartNumber><ETag>{}</ETag></Part>".format(number, tag))
        text = "<CompleteMultipartUpload>{}</CompleteMultipartUpload>".format("".join(lines))
        done = self._checked("POST", key, [("uploadId", upload)], text.encode())
        if b"<Error>" in done.body:  # this one answer can be an error with status 200
            raise self._refused("POST", key, done)

    def _checked(
        self, method: str, key: Optional[str], query: Query, data: bytes, also: Tuple[int, ...] = ()
    ) -> Answer:
        answer = self._send(method, key, query, data)
        if not 200 <= answer.status < 300 and answer.status not in also:
            raise self._refused(method, key, answer)
        return answer

    def _refused(self, method: str, key: Optional[str], answer: Answer) -> StoreWriteError:
        code = re.search(rb"<Code>([^<]+)</Code>", answer.body)
        reason = code.group(1).decode("ascii", "replace") if code else http.client.responses.get(answer.status, "")
        return StoreWriteError(
            "{} refuses {} {}: {} {}".format(self.url, method, key or "", answer.status, reason).strip()
        )

    def _send(self, method: str, key: Optional[str], query: Query, data: bytes) -> Answer:
        """One request for a key, or for the bucket.

        It is repeated with growing, random delays while the service or the way to it fails. A service that was away a
        moment ago is not asked, or once only: a record is many objects, and a command's end must not wait for each.
        """
        problem = "it was away a moment ago"
        since = time.monotonic() - self._failed
        for attempt in range(0 if since < _REST_SECONDS else 1 if since < _DOWN_SECONDS else _ATTEMPTS):
            if attempt:
                longest = min(_FIRST_DELAY * 2**attempt, _LONGEST_DELAY)
                time.sleep(random.uniform(longest / 2, longest))  # noqa: S311 - spreads retries, hides nothing
            try:
                answer = self._once(method, key, query, data)
            except (OSError, http.client.HTTPException) as error:
                self._hang_up()
                problem = str(error) or type(error).__name__
                continue
            if answer.status in _RETRIED:
                problem = "{} {}".format(answer.status, http.client.responses.get(answer.status, ""))
                continue
            if answer.status in (400, 403) and b"ExpiredToken" in answer.body:
                self._credentials = None
                problem = "the credentials have expired"
                continue
            self._failed = float("-inf")
            return answer
        if since >= _REST_SECONDS:
            self._failed = time.monotonic()
        raise StoreWriteError("cannot reach {}: {}".format(self.url, problem))

    def _once(self, method: str, key: Optional[str], query: Query, data: bytes) -> Answer:
        name = "" if key is None else self._prefix + key
        path = encode_path("{}/{}".format(self._base, name))
        text = encode_query(query)
        standard = 443 if self._scheme == "https" else 80
        host = self._host if self._port == standard else "{}:{}".format(self._host, self._port)
        headers = sign(
            (method, path, text), {"host": host}, hashlib.sha256(data).hexdigest(), self._keys(), self._region
        )
        headers["Content-Length"] = str(len(data))
        link = self._link()
        link.request(method, path + ("?" + text if text else ""), body=data, headers=headers)
        response = link.getresponse()
        body: bytes = response.read()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, body)

    def _keys(self) -> Credentials:
        with self._lock:
            keys = self._credentials
            if keys is None or (keys.expires and keys.expires - time.time() < _EXPIRY_MARGIN):
                keys = self._credentials = aws.find(self._environ)
            return keys

    def _link(self) -> Any:
        link = getattr(self._local, "link", None)
        if link is None:
            if self._scheme == "https":
                file = self._environ.get("AWS_CA_BUNDLE") or None
                context = ssl.create_default_context(cafile=file)
                link = http.client.HTTPSConnection(self._host, self._port, timeout=_TIMEOUT, context=context)
            else:
                link = http.client.HTTPConnection(self._host, self._port, timeout=_TIMEOUT)
            self._local.link = link
        return link

    def _hang_up(self) -> None:
        link = getattr(self._local, "link", None)
        if link is not None:
            link.close()
            self._local.link = None


class ObjectLog(Log):
    """Objects cannot grow, so a log is a sequence of them: `key.000000`, `key.000001`, ..."""

    def __init__(self, writer: S3Writer, key: str) -> None:
        self._writer, self._key = writer, key
        self._parts: List[bytes] = []
        self._size, self._number = 0, 0
        self._flushed = time.monotonic()

    def write(self, data: bytes) -> None:
        self._parts.append(data)
        self._size += len(data)
        if self._size >= _LOG_PART or time.monotonic() - self._flushed >= _LOG_SECONDS:
            self.flush()

    def flush(self) -> None:
        if self._parts:
            self._writer.put("{}.{:06d}".format(self._key, self._number), b"".join(self._parts))
            self._parts, self._size = [], 0
            self._number += 1
        self._flushed = time.monotonic()

    def close(self) -> None:
        self.flush()
