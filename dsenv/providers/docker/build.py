"""Commands in a container that becomes a layer of an image.

A container is run, changed and committed, instead of a Dockerfile built: that needs no builder of any version, and
what the commands need to know but nobody may read later, such as the password of a package index, is in their
environment only and in no layer.
"""

from __future__ import annotations

import hashlib
import io
import os
import platform
import tarfile
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dsenv.config import paths
from dsenv.errors import ProviderError
from dsenv.events import Emit, Progress
from dsenv.providers.docker import names
from dsenv.providers.docker.engine import Engine, is_absent, is_conflict, translated

FOLDER = "/opt/dsenv/build"  # removed before the layer is written
CERTIFICATES = "/etc/dsenv/certificates.pem"
STEP = "image"
_KEPT_LINES = 15
_REMOVAL_SECONDS = 30.0
_LIFE_SECONDS = 7200  # after which a build that was broken off goes by itself
# Settings of this machine for package indexes and for the way to them.
_PASSED = (
    "UV_INDEX", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_INDEX_STRATEGY", "UV_INSECURE_HOST",
    "UV_HTTP_TIMEOUT", "PIP_INDEX_URL",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
)  # fmt: skip


def certificates() -> bytes:
    """The authorities that this user trusts instead of the system's, by SSL_CERT_FILE; empty: the image's own."""
    name = os.environ.get("SSL_CERT_FILE", "")
    if not name:
        return b""
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise ProviderError(
            f"SSL_CERT_FILE cannot be read: {name}: {error.strerror}", hint="fix or unset SSL_CERT_FILE, then repeat"
        ) from error


def index_settings() -> dict[str, str]:
    """What commands that download must know, and the layer must not."""
    values = {name: os.environ[name] for name in _PASSED if os.environ.get(name)}
    # Settings like UV_INDEX_ACME_PASSWORD belong to an index by its name.
    values |= {name: value for name, value in os.environ.items() if name.startswith("UV_INDEX_")}
    if certificates():
        values |= dict.fromkeys(("SSL_CERT_FILE", "PIP_CERT", "CURL_CA_BUNDLE"), CERTIFICATES)
    return values


class Builder:
    """A running container in which a layer is made."""

    def __init__(self, engine: Engine, container: str, emit: Emit) -> None:
        self._engine, self._container, self._emit = engine, container, emit

    def put(self, files: Mapping[str, bytes | Path], modes: Mapping[str, int] | None = None) -> None:
        """Write files, by their absolute paths; default mode 0644."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            for path, content in files.items():
                data = content.read_bytes() if isinstance(content, Path) else content
                entry = tarfile.TarInfo(path.lstrip("/"))
                entry.size, entry.mode = len(data), (modes or {}).get(path, 0o644)
                tar.addfile(entry, io.BytesIO(data))
        with translated("cannot put files into the image"), self._engine.patient():
            self._engine.api.put_archive(self._container, "/", buffer.getvalue())

    def run(
        self, argv: Sequence[str], *, user: str = "root", environ: Mapping[str, str] | None = None
    ) -> tuple[int, list[bytes]]:
        """Run a command; its output is shown as progress. Returns its exit code and its last lines."""
        lines: deque[bytes] = deque(maxlen=_KEPT_LINES)
        with translated("cannot run a command in the image"):
            api = self._engine.api
            started = api.exec_create(self._container, list(argv), user=user, environment=dict(environ or {}))
            with _following(api, started["Id"]) as pieces:
                for line in _lines(pieces):
                    lines.append(line)
                    self._emit(Progress(STEP, 0, 0, line.decode("utf-8", "replace").strip()[:72]))
            code = api.exec_inspect(started["Id"])["ExitCode"]
        return int(code if code is not None else 255), list(lines)

    def commit(self, tag: str, labels: Mapping[str, str]) -> None:
        """Make the image `REPOSITORY:tag` of what is there now."""
        changes = [f'LABEL {name}="{value}"' for name, value in labels.items()]
        changes += ["ENTRYPOINT []", 'CMD ["/bin/sh"]', "USER root"]
        with translated("cannot write the image"), self._engine.patient():
            self._engine.api.commit(self._container, names.REPOSITORY, tag, changes=changes)


@contextmanager
def _following(api: Any, command: str) -> Iterator[Iterator[bytes]]:
    """What a started command prints. The SDK's own way to follow it leaves the connection open."""
    from docker.utils.socket import frames_iter

    connection = api.exec_start(command, socket=True)
    try:
        api._disable_socket_timeout(connection)  # a command may be silent for long
        yield (data for _, data in frames_iter(connection, tty=False))
    finally:
        connection._response.close()
        connection.close()


def _lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    pending = b""
    for piece in pieces:
        *lines, pending = (pending + piece.replace(b"\r", b"\n")).split(b"\n")
        yield from (line for line in lines if line.strip())
    if pending.strip():
        yield pending


@contextmanager
def builder(engine: Engine, base: str, tag: str, emit: Emit) -> Iterator[Builder]:
    """A container of the image `base`, removed afterwards. The caller holds a lock of its state folder for `tag`."""
    # Those who share the caller's lock, and nobody else: what has this name is no longer being built.
    client = hashlib.sha256(
        f"{names.user()}@{platform.node()}:{paths.state_dir()}".encode("utf-8", "surrogateescape")
    ).hexdigest()[:8]
    name = f"dsenv-build-{tag}-{client}"
    _remove(engine, name)  # of a build that was killed
    with translated(f"cannot start a container of {base}"):
        api = engine.api
        api.create_container(
            base,
            entrypoint=["timeout"],
            command=[str(_LIFE_SECONDS), "cat"],
            stdin_open=True,
            user="root",
            working_dir="/",
            name=name,
            labels={names.KIND: "build", names.USER: names.user()},
            environment={"DEBIAN_FRONTEND": "noninteractive"},
            host_config=api.create_host_config(auto_remove=True),
            use_config_proxy=False,
        )
    with _held(engine, name):
        try:
            with translated(f"cannot start a container of {base}"):
                api.start(name)
            yield Builder(engine, name, emit)
        finally:
            _remove(engine, name)


@contextmanager
def _held(engine: Engine, name: str) -> Iterator[None]:
    """Its input stays open for as long as we live: a build whose client was killed ends, and the engine removes it."""
    with translated(f"cannot reach the container {name}"):
        connection = engine.api.attach_socket(name, params={"stdin": 1, "stream": 1})
    # To the SDK an answer without a body is at its end, and its socket is closed with the next garbage.
    descriptor = os.dup(connection.fileno()) if os.name == "posix" else None
    try:
        yield
    finally:
        connection._response.close()
        connection.close()
        if descriptor is not None:
            os.close(descriptor)


def _remove(engine: Engine, name: str) -> None:
    """Remove a container and wait until its name is free: the engine may be removing it already."""
    deadline = time.monotonic() + _REMOVAL_SECONDS
    while True:
        try:
            with translated(f"cannot remove the container {name}"):
                engine.api.remove_container(name, force=True, v=True)
            return
        except ProviderError as error:
            if is_absent(error):
                return
            if not is_conflict(error) or time.monotonic() > deadline:
                raise
        time.sleep(0.1)
