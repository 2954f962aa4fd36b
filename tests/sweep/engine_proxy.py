"""A docker engine behind a door that counts: every request is noted, and a client can be killed before or after it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import signal
import socket
import threading
from collections.abc import Collection
from pathlib import Path

_ENGINE = "/var/run/docker.sock"
_PATH = re.compile(r"^/v[\d.]+")
# What differs from run to run: ids, and the time in the name of a snapshot.
_CHANCE = re.compile(r"[0-9a-f]{64}|(?<=-)\d{10}\b")


@dataclasses.dataclass
class _Order:
    pid: int
    label: str
    at: int
    when: str


class EngineProxy:
    """`with EngineProxy(folder) as proxy:` listens at `proxy.url`. Each connection carries one request."""

    def __init__(self, folder: Path, shown: Collection[str]) -> None:
        """Of the engine's images only those are listed that have one of the words `shown` in their tags, labels or
        parent: others make and remove images of theirs at the same time."""
        self._path = folder / "engine.sock"
        self._shown = shown
        self._calls: list[str] = []
        self._order: _Order | None = None
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"unix://{self._path}"

    def __enter__(self) -> EngineProxy:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._path))
        self._listener.listen(64)
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def calls(self, *, clear: bool = False) -> list[str]:
        """As `GET /containers/NAME/json`, in their order."""
        with self._lock:
            listed = list(self._calls)
            if clear:
                self._calls.clear()
            return listed

    def kill(self, pid: int, label: str, at: int, when: str) -> None:
        """SIGKILL before the `at`-th request of this name is passed on, or after it was carried out."""
        with self._lock:
            self._calls.clear()
            self._order = _Order(pid, label, at, when)

    def disarm(self) -> None:
        with self._lock:
            self._order = None

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            head, rest = _head(client)
            if not head:
                return  # somebody knocked
            method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ", 2)
            path = _PATH.sub("", target.partition("?")[0])
            order = self._met(f"{method} {_CHANCE.sub('*', path)}")
            if order and order.when == "before":
                os.kill(order.pid, signal.SIGKILL)
                return
            with socket.socket(socket.AF_UNIX) as engine:
                engine.connect(_ENGINE)
                engine.sendall(_alone(head) + rest)
                threading.Thread(target=_copy, args=(client, engine), daemon=True).start()
                if order:
                    # Who attaches gets a stream that does not end by itself.
                    _head(engine) if path.endswith("/attach") else _drained(engine)
                    os.kill(order.pid, signal.SIGKILL)
                elif (method, path) == ("GET", "/images/json"):
                    client.sendall(_filtered(_drained(engine), self._shown))
                else:
                    _copy(engine, client)

    def _met(self, label: str) -> _Order | None:
        with self._lock:
            self._calls.append(label)
            order = self._order
            if order and order.label == label and self._calls.count(label) == order.at:
                return order
            return None


def _head(client: socket.socket) -> tuple[bytes, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = client.recv(1 << 16)
        if not piece:
            return b"", b""
        data += piece
    head, _, rest = data.partition(b"\r\n\r\n")
    return head, rest


def _alone(head: bytes) -> bytes:
    """The head of a request that the engine answers and then hangs up: so the end of the answer is seen."""
    lines = head.split(b"\r\n")
    if not any(line.lower().startswith(b"upgrade:") for line in lines):
        lines = [line for line in lines if not line.lower().startswith(b"connection:")]
        lines.append(b"Connection: close")
    return b"\r\n".join(lines) + b"\r\n\r\n"


def _drained(engine: socket.socket) -> bytes:
    data = b""
    while piece := engine.recv(1 << 16):
        data += piece
    return data


def _filtered(answer: bytes, shown: Collection[str]) -> bytes:
    head, _, body = answer.partition(b"\r\n\r\n")
    if b"chunked" in head.lower():
        body = _unchunked(body)
    images = [
        image
        for image in json.loads(body)
        if any(word in json.dumps([image.get(key) for key in ("RepoTags", "Labels", "ParentId")]) for word in shown)
    ]
    body = json.dumps(images).encode()
    status = head.split(b"\r\n", 1)[0]
    kind = b"Content-Type: application/json\r\nConnection: close"
    return status + b"\r\n" + kind + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def _unchunked(body: bytes) -> bytes:
    found = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        found, body = found + body[:length], body[length + 2 :]
    return found


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
