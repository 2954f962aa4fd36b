"""Requests to one S3 bucket, signed and repeated, with nothing but the standard library."""

from __future__ import annotations

import base64
import hashlib
import http.client
import random
import re
import threading
import time
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple
from urllib.parse import unquote_plus

from dsenv.agent.store import credentials as aws
from dsenv.agent.store.base import StoreWriteError
from dsenv.agent.store.links import Link, Links
from dsenv.agent.store.sigv4 import encode_path, encode_query, sign

_FIRST_DELAY, _LONGEST_DELAY = 0.2, 5.0
_REST_SECONDS, _DOWN_SECONDS = 5.0, 60.0
_RETRIED = frozenset([408, 429, 500, 502, 503, 504])
_ELSEWHERE = frozenset([301, 302, 307, 400])
_URL = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?", re.DOTALL)

_REGION = re.compile(r"[a-z0-9-]{3,40}")
_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_ERROR_LIMIT = 1 << 20

Query = List[Tuple[str, str]]


class UnreachableError(StoreWriteError):
    """The service, or the way to it, failed for all attempts."""


class RefusedError(StoreWriteError):
    """The service answered that it will not. `code` is its own word for why, where it gave one."""

    def __init__(self, message: str, status: int, code: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


class TooLargeError(StoreWriteError):
    """An answer has more bytes than were allowed."""


class Patience(NamedTuple):
    """How long is waited for a service. `rests`: one that was away a moment ago is not asked, or once only."""

    attempts: int = 5
    connecting: float = 10.0  # seconds
    answering: float = 10.0
    rests: bool = True


PATIENT = Patience()


class Way(NamedTuple):
    """How a bucket is reached."""

    region: str
    endpoint: str = ""  # an address that was given; empty for the service's own
    authorities: Optional[str] = None  # file of certificates; None for the system's


class Rest:
    """The body of an answer that is read by and by."""

    def __init__(self, url: str, links: Links, link: Link, response: http.client.HTTPResponse) -> None:
        self._url, self._links, self._link, self._response = url, links, link, response
        self._left = response.length

    def read(self, size: int) -> bytes:
        """At most so many bytes; none at the end. Raises UnreachableError for an end that comes too early."""
        try:
            data = self._response.read(size)
        except (OSError, http.client.HTTPException) as error:
            raise UnreachableError("{} broke off: {}".format(self._url, str(error) or type(error).__name__)) from error
        if self._left is not None:
            self._left -= len(data)
            if self._left and size and not data:
                raise UnreachableError("{} broke off {} bytes before the end".format(self._url, self._left))
        return data

    def close(self) -> None:
        """Give the connection back, or end it when there is more that nobody wants."""
        self._links.give_back(self._link, self._response)


class Answer(NamedTuple):
    """What the service said."""

    status: int
    headers: Dict[str, str]  # names in lower case
    body: bytes
    rest: Optional[Rest] = None  # the body, where it was to be left unread


class Item(NamedTuple):
    """An object of a listing."""

    key: str  # below the prefix of the store
    size: int
    written: str  # 2026-03-01T10:15:00.000Z


class Listing(NamedTuple):
    """A page of a listing. `folders` end with a slash."""

    items: List[Item]
    folders: List[str]
    more: str  # where the next page begins; empty for the last


class Bucket:
    """The objects under `s3://bucket/prefix`; keys are those below the prefix.

    May be used from several threads: each request takes a connection that rests, or makes one. Raises UnreachableError
    and RefusedError.
    """

    def __init__(self, url: str, keys: aws.Keys, way: Way, patience: Patience = PATIENT) -> None:
        match = _URL.fullmatch(url)
        if match is None:
            raise StoreWriteError("{} is not the address of a bucket: write s3://bucket/prefix".format(url))
        prefix = (match.group(2) or "").strip("/")
        self.url = "s3://{}{}".format(match.group(1), "/" + prefix if prefix else "")
        self._name, self._prefix = match.group(1), prefix + "/" if prefix else ""
        self._keys, self._way, self._patience = keys, way, patience
        self._failed = float("-inf")  # when the service could not be reached
        self._lock = threading.Lock()
        self._place, self._links = self._reached(way)

    def _reached(self, way: Way) -> Tuple[aws.Place, Links]:
        place = aws.place(way.endpoint, self._name, way.region)
        return place, Links(place, way.authorities, self._patience.connecting, self._patience.answering)

    def request(
        self, method: str, key: Optional[str], query: Query, data: bytes = b"", also: Tuple[int, ...] = (), **how: Any
    ) -> Answer:
        """`send`, for which any status but those of success and `also` is an error."""
        answer = self.send(method, key, query, data, **how)
        if not 200 <= answer.status < 300 and answer.status not in also:
            raise self.refused(method, key, answer)
        return answer

    def refused(self, method: str, key: Optional[str], answer: Answer) -> RefusedError:
        """An answer as an error."""
        code = _code(answer.body)
        reason = code or http.client.responses.get(answer.status, "")
        text = "{} refuses {} {}: {} {}".format(self.url, method, key or "", answer.status, reason).strip()
        return RefusedError(text, answer.status, code)

    def listing(self, prefix: str, *, deep: bool = False, after: str = "") -> Iterator[Listing]:
        """What is below a prefix, by pages, in the order of the keys' bytes; directly below it unless `deep`.

        With `after` only keys behind that one.
        """
        query = [("list-type", "2"), ("prefix", self._prefix + prefix), ("encoding-type", "url")]
        query += [] if deep else [("delimiter", "/")]
        query += [("start-after", self._prefix + after)] if after else []
        token = ""
        while True:
            more = [("continuation-token", token)] if token else []
            body = self.request("GET", None, query + more).body
            listing = _parsed(body, len(self._prefix))
            yield listing
            if not listing.more:
                return
            if listing.more == token:
                raise RefusedError("{} gives the same page of a listing again".format(self.url), 200, "")
            token = listing.more

    def delete_all(self, keys: List[str]) -> List[Tuple[str, str]]:
        """Delete at most 1,000 objects at once; returns the keys that stay, and the service's word for why."""
        objects = "".join("<Object><Key>{}</Key></Object>".format(_escaped(self._prefix + key)) for key in keys)
        text = '<Delete xmlns="{}"><Quiet>true</Quiet>{}</Delete>'.format(_NAMESPACE, objects)
        body = self.request("POST", None, [("delete", "")], text.encode("utf-8")).body
        return [
            (_unescaped(_field(found, b"Key").decode("utf-8", "replace"))[len(self._prefix) :], _code(found))
            for found in re.findall(rb"<Error>(.*?)</Error>", body, re.DOTALL)
        ]

    def send(self, method: str, key: Optional[str], query: Query, data: bytes = b"", **how: Any) -> Answer:
        """One request for a key, or for the bucket, with any answer that the service stands by.

        It is repeated with growing, random delays while the service or the way to it fails. A service that was away a
        moment ago is not asked, or once only: a record is many objects, and a command's end must not wait for each.
        `how` is `limit`, the most bytes of a body, or `unread=True`, which leaves it to be read.
        """
        problem = "it was away a moment ago"
        since = time.monotonic() - self._failed
        expired = None
        for attempt in range(self._attempts(since)):
            if attempt:
                longest = min(_FIRST_DELAY * 2**attempt, _LONGEST_DELAY)
                time.sleep(random.uniform(longest / 2, longest))  # noqa: S311 - spreads retries, hides nothing
            try:
                region = self._way.region
                answer = self._once(method, key, query, data, **how)
                if answer.status in _ELSEWHERE and self._moved(answer, region):
                    answer = self._once(method, key, query, data, **how)
            except (OSError, http.client.HTTPException) as error:
                problem, expired = str(error) or type(error).__name__, None
                continue
            if answer.status in _RETRIED:
                problem, expired = "{} {}".format(answer.status, http.client.responses.get(answer.status, "")), None
                continue
            self._failed = float("-inf")
            if answer.status in (400, 403) and b"ExpiredToken" in answer.body:
                self._keys.forget()
                expired = answer
                continue
            return answer
        if expired is not None:
            return expired
        if since >= _REST_SECONDS:
            self._failed = time.monotonic()
        raise UnreachableError("cannot reach {}: {}".format(self.url, problem))

    def _attempts(self, since: float) -> int:
        if not self._patience.rests or since >= _DOWN_SECONDS:
            return self._patience.attempts
        return 0 if since < _REST_SECONDS else 1

    def _moved(self, answer: Answer, asked: str) -> bool:
        """Whether the answer says that the bucket is in another region than was asked; the next requests go there."""
        region = answer.headers.get("x-amz-bucket-region") or _field(answer.body, b"Region").decode("ascii", "replace")
        if not _REGION.fullmatch(region) or region == asked:
            return False
        with self._lock:
            if region == self._way.region:  # another thread has heard it before
                return True
            self._way, before = self._way._replace(region=region), self._links
            self._place, self._links = self._reached(self._way)
        before.close()
        return True

    def _once(
        self,
        method: str,
        key: Optional[str],
        query: Query,
        data: bytes,
        limit: Optional[int] = None,
        unread: bool = False,
    ) -> Answer:
        with self._lock:
            place, links, region = self._place, self._links, self._way.region
        path = encode_path("{}/{}".format(place.base, "" if key is None else self._prefix + key))
        text = encode_query(query)
        extra = {"host": place.authority}
        if method == "POST" and data:  # what is posted must be guarded by this digest, not only by the signature's
            extra["content-md5"] = base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode("ascii")
        digest = hashlib.sha256(data).hexdigest()
        headers = sign((method, path, text), extra, digest, self._keys.current(), region)
        headers["Content-Length"] = str(len(data))
        link, response = links.exchange(method, path + ("?" + text if text else ""), data, headers)
        named = {name.lower(): value for name, value in response.getheaders()}
        if unread and response.status == 200:
            return Answer(response.status, named, b"", Rest(self.url, links, link, response))
        try:
            return Answer(response.status, named, _body(response, limit))
        except _TooMuch:
            raise TooLargeError("{}/{} has more than {} bytes".format(self.url, key, limit)) from None
        finally:
            links.give_back(link, response)


class _TooMuch(Exception):  # noqa: N818 - never leaves this module
    """A body is larger than it may be."""


def _body(response: http.client.HTTPResponse, limit: Optional[int]) -> bytes:
    """The whole body. Raises HTTPException for one that is cut off, _TooMuch for content of more than `limit` bytes."""
    if response.status != 200:
        return response.read(_ERROR_LIMIT)
    length = response.length
    if limit is None or (length is not None and length <= limit):
        return response.read()
    data = response.read(limit + 1) if length is None else b""
    if length is not None or len(data) > limit:
        raise _TooMuch
    return data


def _parsed(body: bytes, skipped: int) -> Listing:
    """A page of a listing; the first `skipped` characters of its keys are left out."""
    encoded = b"<EncodingType>url<" in body  # some services do not know how

    def below(text: bytes) -> str:
        name = text.decode("utf-8", "replace")
        return (unquote_plus(name) if encoded else _unescaped(name))[skipped:]

    items = [
        Item(below(_field(text, b"Key")), int(_field(text, b"Size") or 0), _field(text, b"LastModified").decode())
        for text in re.findall(rb"<Contents>(.*?)</Contents>", body, re.DOTALL)
    ]
    folders = [below(text) for text in re.findall(rb"<CommonPrefixes>\s*<Prefix>([^<]*)<", body)]
    return Listing(items, folders, _unescaped(_field(body, b"NextContinuationToken").decode("utf-8", "replace")))


def _code(body: bytes) -> str:
    """The service's own word for what is wrong; empty where it gave none."""
    return _field(body, b"Code").decode("ascii", "replace")


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _unescaped(text: str) -> str:
    for name, character in (("lt", "<"), ("gt", ">"), ("quot", '"'), ("apos", "'"), ("amp", "&")):
        text = text.replace("&{};".format(name), character)
    return text


def _field(text: bytes, name: bytes) -> bytes:
    found = re.search(rb"<%s>([^<]*)</%s>" % (name, name), text)
    return found.group(1) if found else b""
