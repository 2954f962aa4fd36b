"""A package index on loopback, and wheels to put into it: environments can be locked and installed offline."""

from __future__ import annotations

import base64
import hashlib
import html
import threading
import zipfile
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import unquote

from packaging.utils import canonicalize_name

_EPOCH = (1980, 1, 1, 0, 0, 0)


def write_wheel(
    folder: Path,
    name: str,
    version: str,
    files: Mapping[str, str] | None = None,
    *,
    requires: Sequence[str] = (),
    tag: str = "py3-none-any",
    scripts: Mapping[str, str] | None = None,
) -> Path:
    """Write a wheel: `files` are its modules by path, `scripts` its console scripts. The same bytes each time."""
    word = canonicalize_name(name).replace("-", "_")
    info = f"{word}-{version}.dist-info"
    content = dict(files if files is not None else {f"{word}.py": f"version = {version!r}\n"})
    metadata = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    metadata += [f"Requires-Dist: {requirement}" for requirement in requires]
    content[f"{info}/METADATA"] = "\n".join(metadata) + "\n"
    content[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nGenerator: dsenv\nRoot-Is-Purelib: true\nTag: {tag}\n"
    if scripts:
        lines = [f"{command} = {target}" for command, target in scripts.items()]
        content[f"{info}/entry_points.txt"] = "\n".join(["[console_scripts]", *lines, ""])
    record = [f"{path},sha256={_digest(text)},{len(text.encode())}" for path, text in content.items()]
    content[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""])
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{word}-{version}-{tag}.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in content.items():
            archive.writestr(zipfile.ZipInfo(path, _EPOCH), text)
    return wheel


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


class PackageIndex:
    """Serves the wheels of a folder by the simple repository API. What lies in the folder now is what it has.

    Use it as a context manager; `url` is the address for the installer. `requests` are the paths that were asked for.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.requests: list[str] = []
        index = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                index.requests.append(self.path)
                self._reply()

            def do_HEAD(self) -> None:
                self._reply()

            def _reply(self) -> None:
                kind, data = index._answer(unquote(self.path).strip("/").split("/"))
                self.send_response(200 if data is not None else 404)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(data or b"")))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(data or b"")

            def log_message(self, *words: object) -> None:
                """Quiet: stderr belongs to the tests."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def url(self) -> str:
        """Address of the simple API."""
        return f"http://127.0.0.1:{self._server.server_port}/simple"

    def _answer(self, parts: list[str]) -> tuple[str, bytes | None]:
        match parts:
            case ["simple", name]:
                links = [self._link(file) for file in self._wheels() if _project(file) == canonicalize_name(name)]
                page = f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>"
                return "text/html", page.encode() if links else None
            case ["files", name] if (self.folder / name) in self._wheels():
                return "application/octet-stream", (self.folder / name).read_bytes()
        return "text/plain", None

    def _wheels(self) -> list[Path]:
        return sorted(self.folder.glob("*.whl"))

    @staticmethod
    def _link(file: Path) -> str:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        return f'<a href="/files/{html.escape(file.name)}#sha256={digest}">{html.escape(file.name)}</a>'

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _project(file: Path) -> str:
    return canonicalize_name(file.name.split("-")[0])
