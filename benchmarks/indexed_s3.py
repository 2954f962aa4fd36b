"""An S3 endpoint for benchmarks of size: GetObject, HeadObject and ListObjectsV2 over a folder of index entries.

moto looks at every key it has for each listing, so that a million keys would measure moto. This one finds a prefix by
bisection, as the service does, and answers after a given delay, as the service does. It is a process of its own, so
that what it takes of the machine can be told from what the client takes.

    python benchmarks/indexed_s3.py FOLDER BUCKET DELAY

prints its address, and its figures for each line on stdin.
"""

from __future__ import annotations

import bisect
import dataclasses
import json
import os
import subprocess
import sys
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


@dataclasses.dataclass
class Figures:
    """What the server did since it was asked last."""

    requests: int = 0
    bytes: int = 0
    cpu: float = 0.0  # seconds
    most: int = 0  # requests that were answered at the same time


class Served:
    """A folder as a bucket on loopback, by a process of its own."""

    def __init__(self, folder: Path, bucket: str, delay: float) -> None:
        words = [sys.executable, __file__, str(folder), bucket, str(delay)]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()

    def figures(self) -> Figures:
        """The figures since the last call."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return Figures(**json.loads(self._process.stdout.readline()))

    def stop(self) -> None:
        self._process.communicate()


class _Server(ThreadingHTTPServer):
    request_queue_size = 128  # with the 5 of the library, connections that come at once wait for a second


def _serve(folder: Path, bucket: str, delay: float) -> None:
    objects, figures, lock, active = _Objects(folder), Figures(), threading.Lock(), set[int]()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one go: else the second waits for what TCP says to the first

        def do_GET(self) -> None:
            with lock:
                active.add(threading.get_ident())
                figures.most = max(figures.most, len(active))
            time.sleep(delay)
            parts = urlsplit(self.path)
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
            with lock:
                active.discard(threading.get_ident())
                figures.requests += 1
                figures.bytes += len(body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", '"x"')
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = _Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    spent = time.process_time()
    for _ in sys.stdin:
        with lock:
            now = time.process_time()
            said = dataclasses.replace(figures, cpu=now - spent)
            spent, figures.requests, figures.bytes, figures.most = now, 0, 0, 0
        print(json.dumps(dataclasses.asdict(said)), flush=True)


def _xml(objects: _Objects, bucket: str, query: dict[str, str]) -> bytes:
    prefix = query.get("prefix", "")
    found, common, following = objects.listing(
        prefix, query.get("delimiter", ""), query.get("continuation-token") or query.get("start-after", "")
    )
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


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
