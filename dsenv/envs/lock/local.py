"""Packages that come from no index: built once into a wheel, kept beside the lock under its digest."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Sequence
from email.parser import BytesParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from packaging.utils import canonicalize_name, parse_wheel_filename

from dsenv.agent.distributions import without_credentials
from dsenv.config import paths
from dsenv.envs.lock import targets, uv
from dsenv.envs.requirements_txt import Source
from dsenv.errors import LockError
from dsenv.events import Cancel, Emit, step

FOLDER = ".dsenv/wheels"
_TIMEOUT = 60.0


@dataclasses.dataclass(frozen=True)
class Built:
    """A wheel of ours: the requirement that stands for it in the solver's question, and where it came from."""

    name: str
    requirement: str
    filename: str
    sha256: str
    origin: dict[str, str]


def build_all(
    sources: Sequence[Source], root: Path, python: str, platforms: Sequence[str], emit: Emit, cancel: Cancel
) -> list[Built]:
    """Build each source, keep its wheel, and check that every platform can install it. Raises LockError."""
    built = []
    for source in sources:
        title = f"build {source.name or Path(source.location).name}"
        with step(emit, "build", title) as note, tempfile.TemporaryDirectory(prefix="dsenv-build-") as scratch:
            item = _build(source, Path(scratch), root, python, cancel)
            note.note = item.filename
        _check_platforms(item, platforms, python)
        built.append(item)
    return built


def _build(source: Source, scratch: Path, root: Path, python: str, cancel: Cancel) -> Built:
    origin = {"kind": "editable" if source.editable else source.kind}
    tree = Path(source.location)
    if source.kind == "git":
        tree, commit = _clone(source, scratch / "clone")
        origin |= {"from": without_credentials(source.location), "commit": commit}
    elif source.kind == "archive" and "://" in source.location:
        tree = _download(source.location, scratch)
        origin |= {"from": without_credentials(source.location)}
    else:
        origin |= {"from": relative_to_project(tree, root)} | _git_state(tree)
    tree = _inside(tree, source.subdirectory)
    wheel = tree if tree.suffix == ".whl" else uv.build_wheel(tree, _folder(scratch / "wheel"), python, cancel)
    data = wheel.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    name, _ = wheel_identity(wheel)
    if source.name and canonicalize_name(source.name) != name:
        raise LockError(f"{source.name} at {origin['from']} is a package called {name}", hint="fix its name")
    kept = keep(data, wheel.name, digest, root)
    extras = f"[{','.join(source.extras)}]" if source.extras else ""
    marker = f" ; {source.marker}" if source.marker else ""
    return Built(name, f"{name}{extras} @ {kept.as_uri()}{marker}", wheel.name, digest, {"name": name} | origin)


def keep(data: bytes, filename: str, digest: str, root: Path) -> Path:
    """Store a wheel beside the lock, for whoever gets the project, and in the data folder, for records of runs."""
    for place in (root / FOLDER / digest[:16] / filename, paths.data_dir() / "wheels" / digest / filename):
        if not place.is_file() or hashlib.sha256(place.read_bytes()).hexdigest() != digest:
            try:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(data)
            except OSError as error:
                raise LockError(f"cannot keep the wheel {place}: {error.strerror}", hint="free some space") from error
    return root / FOLDER / digest[:16] / filename


def path_in_lock(item: Built) -> str:
    """A kept wheel's path relative to the lock."""
    return f"{FOLDER}/{item.sha256[:16]}/{item.filename}"


def wheel_identity(wheel: Path) -> tuple[str, str]:
    """Canonical name and version from a wheel's metadata. Raises LockError."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            file = next(name for name in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name))
            headers = BytesParser().parsebytes(archive.read(file), headersonly=True)
    except (OSError, zipfile.BadZipFile, StopIteration) as error:
        raise LockError(f"{wheel} is not a readable wheel", hint="build it again") from error
    return canonicalize_name(str(headers["Name"])), str(headers["Version"])


def _check_platforms(item: Built, platforms: Sequence[str], python: str) -> None:
    tags = parse_wheel_filename(item.filename)[3]
    failing = [platform for platform in platforms if not tags & targets.tags(platform, python)]
    if failing:
        raise LockError(
            f"{item.name} was built for this machine only ({item.filename}): no build for {', '.join(failing)}",
            hint=f"choose: take {', '.join(failing)} out of `platforms` in dsenv.toml, or publish wheels of it",
        )


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def _inside(tree: Path, subdirectory: str) -> Path:
    inner = (tree / subdirectory).resolve()
    if not inner.is_relative_to(tree.resolve()) or not inner.exists():
        raise LockError(f"{tree} has no folder {subdirectory}", hint="fix its `subdirectory`")
    return inner


def _clone(source: Source, target: Path) -> tuple[Path, str]:
    shown = without_credentials(source.location)
    if source.location.startswith("-") or source.revision.startswith("-"):
        raise LockError(f"{shown} is not a git URL", hint="fix the requirement")
    _git("clone", "--quiet", "--no-checkout", source.location, str(target), what=f"cannot clone {shown}")
    revision = source.revision or "HEAD"
    _git("-C", str(target), "checkout", "--quiet", "--detach", revision, what=f"{shown} has no revision {revision}")
    return target, _git("-C", str(target), "rev-parse", "HEAD", what=f"cannot read {shown}").strip()


def _git(*arguments: str, what: str) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=600
        )
    except FileNotFoundError as error:
        raise LockError(f"{what}: git is not installed", hint="install git, then repeat") from error
    except subprocess.TimeoutExpired as error:
        raise LockError(f"{what}: no answer within 10 minutes", hint="check the network") from error
    if done.returncode:
        raise LockError(what, hint="check the URL and your access to it", detail=done.stderr[-2000:])
    return done.stdout


def _git_state(tree: Path) -> dict[str, str]:
    """Commit and cleanliness of the repository that a folder is in; nothing when it is in none."""
    folder = tree if tree.is_dir() else tree.parent
    try:
        commit = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "HEAD"], capture_output=True, text=True, check=False, timeout=60
        )
        changes = subprocess.run(
            ["git", "-C", str(folder), "status", "--porcelain", "--", "."], capture_output=True, check=False, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}
    if commit.returncode or changes.returncode:
        return {}
    return {"commit": commit.stdout.strip(), "state": "dirty" if changes.stdout.strip() else "clean"}


def _download(url: str, scratch: Path) -> Path:
    parts = urlsplit(url)
    shown = without_credentials(url)
    if parts.scheme not in {"https", "http"}:
        raise LockError(f"{shown}: only http and https archives can be locked", hint="use a folder or a git URL")
    target = scratch / unquote(parts.path.rsplit("/", 1)[-1])
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as answer, target.open("wb") as out:  # noqa: S310 - checked
            shutil.copyfileobj(answer, out)
    except urllib.error.HTTPError as error:
        error.close()  # it holds the connection
        raise LockError(f"cannot download {shown}: {error}", hint="check the address") from error
    except OSError as error:
        raise LockError(f"cannot download {shown}: {error}", hint="check the address") from error
    return target


def relative_to_project(path: Path, root: Path) -> str:
    """How a local source is named in a lock: relative to the project, or by its last part when it is elsewhere."""
    try:
        return path.resolve().relative_to(root.resolve()).as_posix() or "."
    except ValueError:
        return path.name
