"""A store in an S3 bucket, written with nothing but the standard library."""

from __future__ import annotations

import os
import re
import time
from email.utils import parsedate_to_datetime
from typing import Any, Iterator, List, Mapping, Optional

from dsenv.agent.store import credentials as aws
from dsenv.agent.store.base import CLAIM_SECONDS, Log, StoreWriteError, Writer
from dsenv.agent.store.bucket import Bucket, Way

PART_SIZE = 16 << 20
_LOG_PART = 4 << 20
_LOG_SECONDS = 5.0


def bucket_of(url: str, environ: Mapping[str, str]) -> Bucket:
    """The bucket of `s3://bucket/prefix`, reached as the environment says. Raises StoreWriteError."""
    environ = dict(environ)
    way = Way(aws.region(environ), aws.given_endpoint(environ), environ.get("AWS_CA_BUNDLE") or None)
    return Bucket(url, aws.Keys(lambda: aws.find(environ)), way)


class S3Writer(Writer):
    """Objects under `s3://bucket/prefix`."""

    def __init__(self, bucket: Bucket) -> None:
        super().__init__(bucket.url)
        self._bucket = bucket

    def put(self, key: str, data: bytes) -> None:
        self._bucket.request("PUT", key, [], data)

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
        answer = self._bucket.send("HEAD", key, [])
        if answer.status in (200, 404):
            return answer.status == 200
        if answer.status == 403:
            return False  # allowed to write but not to list; writing again is harmless
        raise self._bucket.refused("HEAD", key, answer)

    def claim(self, key: str) -> bool:
        answer = self._bucket.send("HEAD", key, [])
        if answer.status != 200:
            return False
        try:
            written = parsedate_to_datetime(answer.headers.get("last-modified", "")).timestamp()
        except (TypeError, ValueError):
            return False
        return time.time() - written < CLAIM_SECONDS

    def delete(self, key: str) -> None:
        self._bucket.request("DELETE", key, [], also=(404,))

    def read(self, key: str) -> Optional[bytes]:
        answer = self._bucket.request("GET", key, [], also=(404,))
        return None if answer.status == 404 else answer.body

    def names(self, prefix: str) -> Iterator[str]:
        for listing in self._bucket.listing(prefix):
            yield from (item.key[len(prefix) :] for item in listing.items)

    def log(self, key: str) -> Log:
        return ObjectLog(self, key)

    def _put_parts(self, key: str, file: Any) -> None:
        begun = self._bucket.request("POST", key, [("uploads", "")])
        found = re.search(rb"<UploadId>([^<]+)</UploadId>", begun.body)
        if found is None:
            raise StoreWriteError("{} did not begin an upload of {}".format(self.url, key))
        upload = found.group(1).decode().replace("&amp;", "&")
        try:
            self._send_parts(key, file, upload)
        except (StoreWriteError, OSError):
            self._bucket.send("DELETE", key, [("uploadId", upload)])
            raise

    def _send_parts(self, key: str, file: Any, upload: str) -> None:
        lines = []
        for number in range(1, 10_001):
            data = file.read(PART_SIZE)
            if not data:
                break
            answer = self._bucket.request("PUT", key, [("partNumber", str(number)), ("uploadId", upload)], data)
            tag = answer.headers.get("etag", "")
            lines.append("<Part><PartNumber>{}</PartNumber><ETag>{}</ETag></Part>".format(number, tag))
        text = "<CompleteMultipartUpload>{}</CompleteMultipartUpload>".format("".join(lines))
        done = self._bucket.request("POST", key, [("uploadId", upload)], text.encode())
        if b"<Error>" in done.body:  # this one answer can be an error with status 200
            raise self._bucket.refused("POST", key, done)


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
