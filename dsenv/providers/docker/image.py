"""The image of a workstation: a system with an SSH server, then the locked environment, each a layer by its digest."""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dsenv import resources
from dsenv.config import paths
from dsenv.errors import InstallError, ProviderError
from dsenv.events import Emit, Progress, step
from dsenv.models.machine import Installable, Needs
from dsenv.providers.base import Spec
from dsenv.providers.docker import build, names
from dsenv.providers.docker.engine import Engine, is_absent, translated
from dsenv.state.lock import exclusive

DEBIAN = "debian:bookworm-slim"
_DEBIANS_PYTHON = "3.11"
_TOOLS = ("openssh-server", "python3", "sudo", "ca-certificates", "procps")
_OLD_PYTHON, _NO_APT = 91, 92

# Arguments: the wanted number of the user, then packages. What is there already is not asked of any mirror.
_SYSTEM = f"""set -e
uid=$1; shift
command -v apt-get >/dev/null || exit {_NO_APT}
missing=
for name; do
    case $name in
        python3) command -v python3 >/dev/null && continue ;;
    esac
    dpkg-query -W -f '${{Status}}' "$name" 2>/dev/null | grep -q 'ok installed' || missing="$missing $name"
done
if [ -n "$missing" ]; then
    bundle=${{SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}}
    apt-get -q -o Acquire::https::CAInfo="$bundle" update
    apt-get -q -o Acquire::https::CAInfo="$bundle" install -y --no-install-recommends $missing
    apt-get clean
    rm -rf /var/lib/apt/lists/*
fi
python3 -I -S -c 'import sys; sys.exit(sys.version_info < (3, 9))' || exit {_OLD_PYTHON}
if ! id {names.LOGIN} >/dev/null 2>&1; then
    if getent passwd "$uid" >/dev/null; then number=; else number="-u $uid"; fi
    useradd -m -d {names.HOME} -s /bin/bash $number {names.LOGIN}
fi
usermod -p '*' {names.LOGIN}
echo '{names.LOGIN} ALL=(ALL) NOPASSWD:ALL' >/etc/sudoers.d/{names.LOGIN}
chmod 440 /etc/sudoers.d/{names.LOGIN}
rm -f /etc/ssh/ssh_host_*
install -d -o {names.LOGIN} -g {names.LOGIN} /opt/dsenv /opt/dsenv/envs
"""
_ENVIRONMENT = f"""cd {build.FOLDER} || exit 1
exec python3 -I -S agent.pyz install request.json
"""
_FINISH = f"""set -e
if [ -x "$1" ] && ! [ -e /usr/local/bin/uv ]; then
    install -m 755 "$1" /usr/local/bin/uv
fi
rm -rf {build.FOLDER} /tmp/dsenv-*
"""


def base_of(spec: Spec) -> str:
    """The image to start from: the one that was named, else one with the system or the Python that is needed."""
    if spec.settings.image:
        return spec.settings.image
    if spec.needs.os:
        system, _, version = spec.needs.os.rpartition("-")
        return f"debian:{version}-slim" if system == "debian" else f"{system}:{version}"
    python = str(spec.needs.environment.request.get("python", "")) if spec.needs.environment else ""
    if python and python != _DEBIANS_PYTHON:
        return f"python:{python}-slim-bookworm"
    return DEBIAN


def ensure(engine: Engine, spec: Spec, emit: Emit) -> str:
    """The image that the workstation is made from, built as far as it is not there. Raises ProviderError, EnvError."""
    base = base_of(spec)
    found = _pulled(engine, base, spec.needs, emit)
    system = _tag("system", [found, _SYSTEM, str(_uid()), *_packages(spec.needs)], build.certificates())
    if not _exists(engine, system):
        with _only_one(system), step(emit, build.STEP, f"image from {base}") as note:
            if not _exists(engine, system):
                _build_system(engine, base, system, spec.needs, emit)
            note.note = f"{names.REPOSITORY}:{system}"
    environment = spec.needs.environment
    if environment is None:
        return f"{names.REPOSITORY}:{system}"
    whole = _tag("environment", [system, environment.id])
    if not _exists(engine, whole):
        with _only_one(whole), step(emit, build.STEP, f"image with environment {environment.id[:12]}") as note:
            if not _exists(engine, whole):
                _build_environment(engine, system, whole, environment, emit)
            note.note = f"{names.REPOSITORY}:{whole}"
    return f"{names.REPOSITORY}:{whole}"


def _build_system(engine: Engine, base: str, tag: str, needs: Needs, emit: Emit) -> None:
    packages = _packages(needs)
    with build.builder(engine, base, tag, emit) as builder:
        if build.certificates():
            builder.put({build.CERTIFICATES: build.certificates()})
        argv = ["sh", "-c", _SYSTEM, "sh", str(_uid()), *packages]
        code, lines = builder.run(argv, environ=build.index_settings())
        _check(code, lines, base, packages)
        builder.commit(tag, {names.KIND: "image"})


def _check(code: int, lines: Sequence[bytes], base: str, packages: Sequence[str]) -> None:
    if code == 0:
        return
    detail = b"\n".join(lines).decode("utf-8", "replace").strip() or None
    if code == _NO_APT:
        raise ProviderError(
            f"{base} has no apt-get",
            hint="set `image` in dsenv.toml to a Debian or Ubuntu, or to an image made from one",
        )
    if code == _OLD_PYTHON:
        raise ProviderError(
            f"the Python of {base} is older than 3.9", hint="set `image` in dsenv.toml to a newer one", detail=detail
        )
    text = detail or ""
    unknown = next((name for name in packages if f"Unable to locate package {name}" in text), None)
    if unknown:
        raise ProviderError(
            f"{base} knows no package {unknown}", hint="correct `apt` in dsenv.toml, then repeat", detail=detail
        )
    raise ProviderError(
        f"the system packages could not be installed in {base}: apt-get ended with {code}",
        hint="check the network of the engine and `apt` in dsenv.toml, then repeat",
        detail=detail,
    )


def _build_environment(engine: Engine, system: str, tag: str, environment: Installable, emit: Emit) -> None:
    request = dict(environment.request)
    for name in ("uv", "wheels"):
        if request.get(name):
            request[name] = posixpath.join(build.FOLDER, str(request[name]))
    files: dict[str, bytes | Path] = {f"{build.FOLDER}/{name}": file for name, file in environment.files.items()}
    files[f"{build.FOLDER}/agent.pyz"] = resources.agent_archive()
    files[f"{build.FOLDER}/request.json"] = json.dumps(request).encode()
    modes = {str(request.get("uv")): 0o755}
    with build.builder(engine, f"{names.REPOSITORY}:{system}", tag, emit) as builder:
        builder.put(files, modes)
        environ = build.index_settings() | {
            "HOME": names.HOME,
            "UV_CACHE_DIR": "/tmp/dsenv-cache",  # noqa: S108 - in a container of our own, and gone with it
        }
        code, lines = builder.run(["sh", "-c", _ENVIRONMENT], user=names.LOGIN, environ=environ)
        _check_environment(code, lines, str(request.get("python", "")))
        code, lines = builder.run(["sh", "-c", _FINISH, "sh", str(request.get("uv"))])
        if code:
            raise ProviderError("cannot finish the image", detail=b"\n".join(lines).decode("utf-8", "replace"))
        builder.commit(tag, {names.KIND: "image", names.BASE: system})


def _check_environment(code: int, lines: Sequence[bytes], python: str) -> None:
    """The agent's last line is its answer. Raises InstallError when it is not an environment."""
    try:
        answer: Any = json.loads(lines[-1])
    except (IndexError, ValueError):
        answer = {}
    if code == 0 and "environment" in answer:
        return
    problem = answer.get("error", {})
    if str(problem.get("message", "")).startswith(f"Python {python} is not"):
        raise InstallError(
            f"the image has no Python {python}",
            hint=f"set `image` in dsenv.toml to one that has it, such as python:{python}-slim-bookworm",
        )
    text = b"\n".join(lines).decode("utf-8", "replace")
    raise InstallError(
        f"in the image: {problem.get('message') or f'the installer ended with {code}'}",
        hint=problem.get("hint") or "run `dsenv lock`, then repeat",
        detail=problem.get("detail") or (None if problem else text),
    )


def _pulled(engine: Engine, name: str, needs: Needs, emit: Emit) -> str:
    """The digest of an image, which is fetched when the engine has it not."""
    _check_architecture(engine, needs)
    found = _inspect(engine, name)
    if found is None:
        with step(emit, "pull", f"fetch {name}"):
            try:
                _fetch(engine, name, emit)
            except ProviderError as error:
                error.hint = error.hint or f"check `image` in dsenv.toml; docker pull {name}"
                raise
        found = _inspect(engine, name)
    if found is None:
        raise ProviderError(f"the engine has no image {name}", hint="check `image` in dsenv.toml")
    return str(found["Id"])


def _fetch(engine: Engine, name: str, emit: Emit) -> None:
    repository, _, tag = name.rpartition(":")
    if "/" in tag or not repository:
        repository, tag = name, "latest"
    with translated(f"cannot fetch the image {name}"), engine.patient():
        for line in engine.api.pull(repository, tag, stream=True, decode=True):
            if "error" in line:
                raise ProviderError(f"cannot fetch the image {name}: {line['error']}")
            detail = line.get("progressDetail") or {}
            done, total = int(detail.get("current") or 0), int(detail.get("total") or 0)
            emit(Progress("pull", done, total, "bytes"))


def _check_architecture(engine: Engine, needs: Needs) -> None:
    if not needs.architecture:
        return
    with translated("cannot ask the engine"):
        has = str(engine.api.info().get("Architecture", ""))
    same = {"arm64": "aarch64", "amd64": "x86_64"}
    if has and same.get(has, has) != needs.architecture:
        raise ProviderError(
            f"the engine's processors are {has}, and {needs.architecture} is needed",
            hint="set `context` in dsenv.toml to an engine that has them; `docker context ls`",
        )


def _inspect(engine: Engine, name: str) -> dict[str, Any] | None:
    try:
        with translated(f"cannot look at the image {name}"):
            found: dict[str, Any] = engine.api.inspect_image(name)
            return found
    except ProviderError as error:
        if is_absent(error):
            return None
        raise


def _exists(engine: Engine, tag: str) -> bool:
    return _inspect(engine, f"{names.REPOSITORY}:{tag}") is not None


def _packages(needs: Needs) -> list[str]:
    return [*_TOOLS, *sorted(set(needs.packages) - set(_TOOLS))]


def _uid() -> int:
    """The number of the user inside: ours, where an ordinary user has such a number."""
    own = os.getuid() if hasattr(os, "getuid") else 0
    return own if 1000 <= own < 60000 else 1000


def _tag(kind: str, words: Sequence[str], data: bytes = b"") -> str:
    digest = hashlib.sha256(json.dumps([kind, *words]).encode() + b"\0" + data)
    return f"{kind}-{digest.hexdigest()[:16]}"


def _only_one(tag: str) -> Any:
    return exclusive(paths.state_dir() / "docker" / f"{tag}.lock", what=f"the image {tag}", timeout=3600)
