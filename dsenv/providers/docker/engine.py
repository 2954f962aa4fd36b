"""An engine: which one is meant, how it is reached, and what its errors mean to a user."""

from __future__ import annotations

import dataclasses
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from dsenv.errors import ProviderError, TransportError
from dsenv.providers.docker import tunnel
from dsenv.transports import openssh

_SECONDS = 60
_SOCKET = Path("/var/run/docker.sock")
_LONG_SECONDS = 1800  # for what writes a layer of gigabytes


@dataclasses.dataclass(frozen=True)
class Engine:
    """A connected engine.

    `address` is how it is remembered: the name of a docker context, or the URL that DOCKER_HOST had.
    """

    address: str
    url: str
    api: Any  # docker.APIClient, which has no types

    @property
    def local(self) -> bool:
        """Whether ports that it publishes on loopback are on this machine's."""
        return self.url.startswith(("unix://", "npipe://", "http+unix://"))

    @property
    def command(self) -> tuple[str, ...]:
        """The words before those that the docker command of this engine is given. They hold no spaces."""
        if self.url.startswith("ssh://") and os.name != "nt":
            return (*openssh.way(self.url), "docker")  # over there: the connection that is open serves it too
        option = "--host" if "://" in self.address else "--context"
        return ("docker", option, self.address)

    @contextmanager
    def patient(self) -> Iterator[None]:
        """Within the block, calls may take long."""
        before, self.api.timeout = self.api.timeout, _LONG_SECONDS
        try:
            yield
        finally:
            self.api.timeout = before


def is_likely() -> bool:
    """Whether there may be an engine to ask. Costs nothing, where the SDK takes a third of a second to load."""
    named = any(os.environ.get(name) for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG"))
    return named or os.name == "nt" or any(place.exists() for place in (_SOCKET, Path.home() / ".docker"))


def in_use(context: str | None = None) -> str:
    """The address of the engine that is meant: of `context`, else the one that the docker command would take."""
    if context:
        return context
    host = os.environ.get("DOCKER_HOST", "")
    if host:
        return host
    if name := os.environ.get("DOCKER_CONTEXT"):
        return name
    with translated("the docker configuration"):
        from docker.context.config import get_current_context_name

        return str(get_current_context_name())


@contextmanager
def connected(address: str) -> Iterator[Engine]:
    """Talk to an engine. Raises ProviderError when it is unknown, not running or not ours to use."""
    what = f"the docker engine {address!r}"
    with ExitStack() as stack:
        with translated(what):
            import docker

            if "://" in address:
                options = docker.utils.kwargs_from_env() if address == os.environ.get("DOCKER_HOST") else {}
                options["base_url"] = address
            else:
                options = _of_context(address)
            url = str(options["base_url"])
            if url.startswith("ssh://") and hasattr(socket, "AF_UNIX"):
                options = {"base_url": _through_ssh(stack, url, what)}
            _knock(options["base_url"])
            api = docker.APIClient(**options, version="auto", timeout=_SECONDS, use_ssh_client=True)
            stack.callback(api.close)
        yield Engine(address, url, api)


def _through_ssh(stack: ExitStack, url: str, what: str) -> str:
    try:
        return stack.enter_context(tunnel.opened(url))
    except TransportError as error:
        raise ProviderError(
            f"{what} cannot be reached: {error.message}", hint=error.hint, detail=error.detail
        ) from error


def _knock(url: str) -> None:
    """Raises OSError when nobody listens on a socket of this machine. The SDK would leave its own end open."""
    path = url.removeprefix("http+").removeprefix("unix://")
    if "://" not in path and hasattr(socket, "AF_UNIX"):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(path)


def _of_context(name: str) -> dict[str, Any]:
    from docker.constants import DEFAULT_NPIPE, DEFAULT_UNIX_SOCKET, IS_WINDOWS_PLATFORM
    from docker.context import ContextAPI

    if name == "default":  # the platform's own socket: DOCKER_HOST was seen to before
        return {"base_url": DEFAULT_NPIPE if IS_WINDOWS_PLATFORM else DEFAULT_UNIX_SOCKET.removeprefix("http+")}
    found = ContextAPI.get_context(name)
    if found is None:
        raise ProviderError(
            f"there is no docker context called {name}",
            hint="`docker context ls` shows those that exist; set `context` in dsenv.toml to one of them",
        )
    options: dict[str, Any] = {"base_url": found.Host}
    if found.TLSConfig:
        options["tls"] = found.TLSConfig
    return options


def contexts() -> list[str]:
    """The names of all docker contexts of this user."""
    with translated("the docker configuration"):
        from docker.context import ContextAPI

        return sorted({str(item.name) for item in ContextAPI.contexts() if item})


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Errors of the SDK, and of the HTTP library below it, become ours; `what` was worked on."""
    import docker.errors
    import requests.exceptions

    try:
        yield
    except docker.errors.APIError as error:
        raise _refused(what, error) from error
    except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as error:
        raise _unreachable(what, error) from error


def is_absent(error: ProviderError) -> bool:
    """Whether the engine said that the thing is not there."""
    return _status(error) == 404


def is_conflict(error: ProviderError) -> bool:
    """Whether somebody else has the name, or is removing the thing already."""
    return _status(error) == 409


def _status(error: ProviderError) -> int | None:
    import docker.errors

    cause = error.__cause__
    return cause.status_code if isinstance(cause, docker.errors.APIError) else None


def _refused(what: str, error: Any) -> ProviderError:
    words = str(error.explanation or error).strip()
    lower = words.lower()
    hint = None
    if "could not select device driver" in lower or "nvidia" in lower:
        return ProviderError(
            f"{what}: the engine cannot give GPUs to containers",
            hint="install NVIDIA's container toolkit there, or leave gpu out of `size` in dsenv.toml",
            detail=words,
        )
    if "no space left" in lower:
        hint = "free some of the engine's disk: `dsenv audit`, `docker system df`"
    return ProviderError(f"{what}: {words}", hint=hint)


def _unreachable(what: str, error: Exception) -> ProviderError:
    words = _innermost(error)
    text = f"{error} {words}".lower()
    if "permission denied" in text:
        return ProviderError(
            f"{what} may not be used by this user: {words}",
            hint="`sudo usermod -aG docker $USER`, then log out and in again",
        )
    if any(sign in text for sign in ("no such file", "connection refused", "cannot find the file", "filenotfound")):
        return ProviderError(
            f"{what} is not running: {words}",
            hint="start it: `sudo systemctl start docker`, or open Docker Desktop",
        )
    return ProviderError(f"{what} cannot be reached: {words}", hint="`docker context ls`, `docker info`")


def _innermost(error: BaseException) -> str:
    """What the system said, below the layers of two libraries."""
    seen: BaseException | None = error
    found = str(error)
    while seen is not None:
        if isinstance(seen, OSError) and seen.strerror:
            found = seen.strerror
        nested = next((item for item in seen.args if isinstance(item, BaseException)), None)
        seen = seen.__cause__ or seen.__context__ or nested
    return found
