"""A store in an S3 bucket, read with boto3."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

from dsenv.errors import RecordError, StoreError, TransportError
from dsenv.runs.store.base import Store, Stored

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef

_ABSENT = {"NoSuchKey", "404", "NotFound"}
_DELETED_AT_ONCE = 1000  # the service's limit


@contextmanager
def _translated(url: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code == "NoSuchBucket":
            raise StoreError(f"{url}: there is no such bucket", hint="check the name and AWS_REGION") from error
        if code in {"AccessDenied", "403", "Forbidden", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"}:
            hint = "check the credentials: aws sts get-caller-identity"
            raise StoreError(f"{url} refuses these credentials ({code})", hint=hint) from error
        raise StoreError(f"{url} answered {code}: {error}") from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        hint = "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        raise StoreError(f"no credentials for {url}", hint=hint) from error
    except BotoCoreError as error:
        raise TransportError(f"cannot reach {url}: {error}", hint="check the network and AWS_ENDPOINT_URL") from error


def _is_absent(error: ClientError) -> bool:
    return error.response.get("Error", {}).get("Code") in _ABSENT


class S3Store(Store):
    """Records as objects under `s3://bucket/prefix`. The client and its connections are made at the first use."""

    concurrency = 16
    lists_in_order = True

    def __init__(self, bucket: str, prefix: str) -> None:
        super().__init__(f"s3://{bucket}/{prefix}".rstrip("/"))
        self._bucket = bucket
        self._prefix = prefix.strip("/") + "/" if prefix.strip("/") else ""
        self._made: S3Client | None = None

    @property
    def _client(self) -> S3Client:
        if self._made is None:
            settings = Config(retries={"mode": "standard", "max_attempts": 4}, connect_timeout=5, read_timeout=30)
            with _translated(self.url):
                self._made = boto3.session.Session().client("s3", config=settings)
        return self._made

    def _get(self, key: str) -> dict[str, Any] | None:
        with _translated(self.url):
            try:
                return cast("dict[str, Any]", self._client.get_object(Bucket=self._bucket, Key=self._prefix + key))
            except ClientError as error:
                if _is_absent(error):
                    return None
                raise

    def read(self, key: str, *, limit: int) -> bytes | None:
        answer = self._get(key)
        if answer is None:
            return None
        with _translated(self.url):
            data: bytes = answer["Body"].read(limit + 1)
        if len(data) > limit:
            raise RecordError(f"{self.url}/{key} is larger than {limit:,} bytes, more than dsenv reads of it")
        return data

    def open(self, key: str) -> BinaryIO | None:
        answer = self._get(key)
        return None if answer is None else cast(BinaryIO, answer["Body"])

    def size(self, key: str) -> int | None:
        with _translated(self.url):
            try:
                return self._client.head_object(Bucket=self._bucket, Key=self._prefix + key)["ContentLength"]
            except ClientError as error:
                if _is_absent(error):
                    return None
                raise

    def children(self, prefix: str) -> Iterator[str]:
        pages = self._client.get_paginator("list_objects_v2")
        full = self._prefix + prefix
        with _translated(self.url):
            for page in pages.paginate(Bucket=self._bucket, Prefix=full, Delimiter="/"):
                for common in page.get("CommonPrefixes", []):
                    yield common["Prefix"][len(full) :]
                for item in page.get("Contents", []):
                    yield item["Key"][len(full) :]

    def everything(self, prefix: str) -> Iterator[Stored]:
        pages = self._client.get_paginator("list_objects_v2")
        with _translated(self.url):
            for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix + prefix):
                for item in page.get("Contents", []):
                    key = item["Key"][len(self._prefix) :]
                    yield Stored(key, item["Size"], item["LastModified"].timestamp())

    def delete(self, keys: Iterable[str]) -> None:
        rest = iter(keys)
        while group := list(itertools.islice(rest, _DELETED_AT_ONCE)):
            objects: list[ObjectIdentifierTypeDef] = [{"Key": self._prefix + key} for key in group]
            with _translated(self.url):
                done = self._client.delete_objects(Bucket=self._bucket, Delete={"Objects": objects, "Quiet": True})
            for problem in done.get("Errors", []):
                raise StoreError(
                    f"{self.url} does not let {problem.get('Key')} be deleted: {problem.get('Code')}",
                    hint="pruning needs s3:DeleteObject on the store's prefix",
                )

    def delete_old(self, keys: Iterable[str], before: float) -> int:
        """The service has no deletion on a condition of time, so it is asked for the time right before."""
        with ThreadPoolExecutor(max_workers=self.concurrency) as pool:
            return sum(pool.map(partial(self._delete_old, before), keys))

    def _delete_old(self, before: float, key: str) -> bool:
        with _translated(self.url):
            try:
                answer = self._client.head_object(Bucket=self._bucket, Key=self._prefix + key)
            except ClientError as error:
                if _is_absent(error):
                    return False
                raise
            if answer["LastModified"].timestamp() >= before:
                return False
            self._client.delete_object(Bucket=self._bucket, Key=self._prefix + key)
        return True
