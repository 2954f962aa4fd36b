"""An S3 endpoint for benchmarks of size: GetObject, HeadObject and ListObjectsV2 over a folder of index entries.

moto looks at every key it has for each listing, so that a million keys would measure moto. This one finds a prefix by
bisection, as the service does, and answers after a given delay, as the service does.
"""

from __future__ import annotations

import bisect
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

_PAGE = 1000


class _Objects:
    """The keys of a folder, sorted; contents stay on disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.keys = sorted(
            os.path.relpath(os.path.join(place, name), folder) for place, _, names in os.walk(folder) for name in names
        )

    def listing(self, prefix: str, delimiter: str, after: str) -> tuple[list[str], list[str], str]:
        """Keys, common prefixes, and where the next page begins; empty at the end."""
        found: list[str] = []
        common: list[str] = []
        position = bisect.bisect_right(self.keys, after) if after else bisect.bisect_left(self.keys, prefix)
        while position < len(self.keys) and self.keys[position].startswith(prefix):
            key = self.keys[position]
            if len(found) + len(common) == _PAGE:
                return found, common, self.keys[position - 1]
            end = key.find(delimiter, len(prefix)) if delimiter else -1
            if end >= 0:
                common.append(key[: end + 1])
                position = bisect.bisect_left(self.keys, key[:end] + chr(ord(delimiter) + 1), position)
            else:
                found.append(key)
                position += 1
        return found, common, ""


def serve(folder: Path, bucket: str, delay: float) -> tuple[str, ThreadingHTTPServer, list[str]]:
    """Serve a folder as a bucket on loopback. Returns the address, the server, and the list of requests that grows."""
    objects, requests = _Objects(folder), list[str]()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            time.sleep(delay)
            parts = urlsplit(self.path)
            requests.append(self.path)
            key = unquote(parts.path).removeprefix(f"/{bucket}").lstrip("/")
            if not key:
                query = {name: values[0] for name, values in parse_qs(parts.query).items()}
                self._answer(200, _xml(objects, bucket, query))
            elif (file := folder / key).is_file():
                self._answer(200, file.read_bytes())
            else:
                self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")

        def do_HEAD(self) -> None:
            self.do_GET()

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", '"x"')
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}", server, requests


def _xml(objects: _Objects, bucket: str, query: dict[str, str]) -> bytes:
    prefix = query.get("prefix", "")
    found, common, following = objects.listing(prefix, query.get("delimiter", ""), query.get("continuation-token", ""))
    more = f"<NextContinuationToken>{escape(following)}</NextContinuationToken>" if following else ""
    contents = "".join(
        f"<Contents><Key>{quote(key)}</Key><Size>1</Size><ETag>x</ETag>"
        "<LastModified>2026-03-01T00:00:00.000Z</LastModified></Contents>"
        for key in found
    )
    prefixes = "".join(f"<CommonPrefixes><Prefix>{quote(name)}</Prefix></CommonPrefixes>" for name in common)
    return (
        f'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>{bucket}</Name>'
        f"<Prefix>{quote(prefix)}</Prefix><IsTruncated>{str(bool(more)).lower()}</IsTruncated>"
        f"<EncodingType>url</EncodingType>{more}{contents}{prefixes}</ListBucketResult>"
    ).encode()
