"""A store in an S3 bucket, read with the agent's own client: boto3 takes longer to load than most reads do."""

from __future__ import annotations

import io
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import cached_property, partial
from typing import Any, BinaryIO, cast

from dsenv.agent.store import StoreWriteError, Writer
from dsenv.agent.store.bucket import Answer, Bucket, Patience, RefusedError, Rest, TooLargeError, UnreachableError
from dsenv.errors import RecordError, StoreError, TransportError
from dsenv.runs.store import identity
from dsenv.runs.store.base import Store, Stored

_BLOCK = 1 << 16
_DELETED_AT_ONCE = 1000  # the service's limit
_PATIENCE = Patience(attempts=4, connecting=5, answering=30, rests=False)
_CREDENTIALS = {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"}


@contextmanager
def _translated(url: str) -> Iterator[None]:
    try:
        yield
    except RefusedError as error:
        if error.code == "NoSuchBucket":
            raise StoreError(f"{url}: there is no such bucket", hint="check the name and AWS_REGION") from error
        if error.code in _CREDENTIALS or error.status == 403:
            hint = "check the credentials: aws sts get-caller-identity"
            raise StoreError(f"{url} refuses these credentials ({error.code or error.status})", hint=hint) from error
        raise StoreError(f"{url} answered {error.code or error.status}: {error}") from error
    except UnreachableError as error:
        raise TransportError(str(error), hint="check the network and AWS_ENDPOINT_URL") from error


class S3Store(Store):
    """Records as objects under `s3://bucket/prefix`. Connections and credentials are made at the first use."""

    concurrency = 32

    def __init__(self, bucket: str, prefix: str) -> None:
        super().__init__(f"s3://{bucket}/{prefix.strip('/')}".rstrip("/"))

    @cached_property
    def _bucket(self) -> Bucket:
        environ = dict(os.environ)
        try:
            return Bucket(self.url, identity.keys(self.url, environ), identity.way(environ), _PATIENCE)
        except StoreWriteError as error:
            raise StoreError(str(error), hint="check AWS_ENDPOINT_URL") from error

    def writer(self) -> Writer:
        from dsenv.agent.store.s3 import S3Writer

        return S3Writer(self._bucket)

    def _ask(self, method: str, key: str, **how: Any) -> Answer | None:
        """The answer for a key, None when it is absent."""
        with _translated(self.url):
            answer = self._bucket.request(method, key, [], also=(404,), **how)
            if answer.status != 404:
                return answer
            refused = self._bucket.refused(method, key, answer)
            if refused.code not in {"", "NoSuchKey", "404", "NotFound"}:
                raise refused
        return None

    def read(self, key: str, *, limit: int) -> bytes | None:
        try:
            answer = self._ask("GET", key, limit=limit)
        except TooLargeError as error:
            raise RecordError(
                f"{self.url}/{key} is larger than {limit:,} bytes, more than dsenv reads of it"
            ) from error
        return None if answer is None else answer.body

    def open(self, key: str) -> BinaryIO | None:
        answer = self._ask("GET", key, unread=True)
        if answer is None or answer.rest is None:
            return None
        return cast(BinaryIO, io.BufferedReader(_Stream(self.url, answer.rest), _BLOCK))

    def size(self, key: str) -> int | None:
        answer = self._ask("HEAD", key)
        return None if answer is None else int(answer.headers.get("content-length") or 0)

    def children(self, prefix: str) -> Iterator[str]:
        with _translated(self.url):
            for page in self._bucket.listing(prefix):
                yield from (name[len(prefix) :] for name in page.folders)
                yield from (item.key[len(prefix) :] for item in page.items)

    def below(self, prefix: str, folders: Sequence[str]) -> dict[str, set[str]]:
        found, at_once = self._below(prefix, folders)
        if at_once:
            return found
        again, _ = self._below(prefix, folders)
        return {name: found.get(name, set()) | again.get(name, set()) for name in found.keys() | again.keys()}

    def _below(self, prefix: str, folders: Sequence[str]) -> tuple[dict[str, set[str]], bool]:
        """What is below `folders`, and whether one answer held it: a single listing goes through all of them, in the
        order of their names. What comes behind them may be long, and is not asked for."""
        found: dict[str, set[str]] = {}
        with _translated(self.url):
            for number, page in enumerate(self._bucket.listing(prefix, deep=True, after=f"{prefix}{min(folders)}/")):
                for item in page.items:
                    folder, _, name = item.key[len(prefix) :].partition("/")
                    if folder in folders and name and "/" not in name:
                        found.setdefault(folder, set()).add(name)
                if not page.more or page.items[-1].key >= f"{prefix}{max(folders)}0":  # the character behind the slash
                    return found, number == 0
        return found, False

    def everything(self, prefix: str) -> Iterator[Stored]:
        with _translated(self.url):
            for page in self._bucket.listing(prefix, deep=True):
                for item in page.items:
                    yield Stored(item.key, item.size, _time(item.written))

    def delete(self, keys: Iterable[str]) -> None:
        rest = iter(keys)
        while group := list(itertools.islice(rest, _DELETED_AT_ONCE)):
            with _translated(self.url):
                problems = self._bucket.delete_all(group)
            for key, code in problems:
                raise StoreError(
                    f"{self.url} does not let {key} be deleted: {code}",
                    hint="pruning needs s3:DeleteObject on the store's prefix",
                )

    def delete_old(self, keys: Iterable[str], before: float) -> int:
        """The service has no deletion on a condition of time, so it is asked for the time right before."""
        with ThreadPoolExecutor(max_workers=self.concurrency) as pool:
            return sum(pool.map(partial(self._delete_old, before), keys))

    def _delete_old(self, before: float, key: str) -> bool:
        answer = self._ask("HEAD", key)
        if answer is None or parsedate_to_datetime(answer.headers["last-modified"]).timestamp() >= before:
            return False
        self._ask("DELETE", key)
        return True


def _time(text: str) -> float:
    """Seconds since the epoch of a time as listings give it."""
    return datetime.fromisoformat(text).timestamp()


class _Stream(io.RawIOBase):
    """An object that is read by and by. Raises TransportError when it breaks off."""

    def __init__(self, url: str, rest: Rest) -> None:
        super().__init__()
        self._url, self._rest = url, rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with _translated(self._url):
            data = self._rest.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._rest.close()
        super().close()
