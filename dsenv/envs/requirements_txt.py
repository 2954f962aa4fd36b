"""Reads pip's requirements files: the lines that people write, each understood or refused with its place."""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from dsenv.errors import LockError

_IGNORED = frozenset({
    "--no-binary", "--only-binary", "--prefer-binary", "--require-hashes", "--trusted-host", "--use-feature", "--pre",
})  # fmt: skip
# Stands for whatever index the installer is set up with.
DEFAULT_INDEX = ""
_VCS = re.compile(r"^(git|hg|svn|bzr)\+")
_MAX_DEPTH = 20


@dataclasses.dataclass(frozen=True)
class Source:
    """A requirement that comes from no index. `location` is an absolute path, or a URL for kind `git`."""

    kind: str  # directory | archive | git
    location: str
    name: str = ""  # empty when only building tells
    extras: tuple[str, ...] = ()
    marker: str = ""
    revision: str = ""
    subdirectory: str = ""
    editable: bool = False


@dataclasses.dataclass
class Requirements:
    """What a requirements file and the files that it includes ask for."""

    requirements: list[str] = dataclasses.field(default_factory=list)
    constraints: list[str] = dataclasses.field(default_factory=list)
    sources: list[Source] = dataclasses.field(default_factory=list)
    indexes: list[str] = dataclasses.field(default_factory=list)
    find_links: list[str] = dataclasses.field(default_factory=list)
    hashes: dict[str, set[str]] = dataclasses.field(default_factory=dict)  # canonical name to SHA-256 digests


def read(file: Path) -> Requirements:
    """Read a file with what it includes by `-r` and `-c`. Raises LockError naming file and line."""
    result = Requirements()
    _read(file, result, constraint=False, depth=0)
    return result


def _read(file: Path, result: Requirements, *, constraint: bool, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise LockError(f"{file}: files include each other", hint="remove the circular -r or -c line")
    for number, line in _logical_lines(file):
        where = f"{file}:{number}"
        try:
            _line(line, file, where, result, constraint=constraint, depth=depth)
        except InvalidRequirement as error:
            raise LockError(
                f"{where}: {line!r} is not a requirement: {_first_line(error)}", hint="fix that line"
            ) from error


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]


def _logical_lines(file: Path) -> Iterator[tuple[int, str]]:
    """Lines with continuations joined and comments removed, with the number of their first line."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise LockError(f"there is no {file}", hint="create it, or change `source` in dsenv.toml") from error
    except UnicodeDecodeError as error:
        raise LockError(f"{file} is not UTF-8 (byte {error.start})", hint="save it as UTF-8") from error
    except OSError as error:
        raise LockError(f"cannot read {file}: {error.strerror}") from error
    pending, first = "", 0
    for number, raw in enumerate(text.splitlines(), 1):
        first = first or number
        line = re.sub(r"(^|\s)#.*$", "", raw).rstrip()
        if line.endswith("\\"):
            pending += line[:-1] + " "
            continue
        whole, pending = (pending + line).strip(), ""
        if whole:
            yield first, whole
        first = 0
    if pending.strip():
        yield first, pending.strip()


def _line(line: str, file: Path, where: str, result: Requirements, *, constraint: bool, depth: int) -> None:
    if line.startswith("-"):
        _option(line, file, where, result, constraint=constraint, depth=depth)
        return
    text, *options = re.split(r"\s+(?=--)", line)
    digests = {value.removeprefix("sha256:") for value in _values(options, "--hash") if value.startswith("sha256:")}
    source = as_source(text, file.parent)
    if source:
        result.sources.append(source)
        return
    requirement = Requirement(text)
    if digests:
        result.hashes.setdefault(canonicalize_name(requirement.name), set()).update(digests)
    (result.constraints if constraint else result.requirements).append(str(requirement))


def _values(options: list[str], name: str) -> list[str]:
    return [option.partition("=")[2].strip() for option in options if option.startswith(name + "=")]


def _option(line: str, file: Path, where: str, result: Requirements, *, constraint: bool, depth: int) -> None:
    name, value = _split_option(line)
    match name:
        case "-r" | "--requirement":
            _read(file.parent / value, result, constraint=constraint, depth=depth + 1)
        case "-c" | "--constraint":
            _read(file.parent / value, result, constraint=True, depth=depth + 1)
        case "-e" | "--editable":
            source = as_source(value, file.parent)
            if source is None:
                raise LockError(f"{where}: {value!r} is neither a folder nor a git URL", hint="fix that line")
            result.sources.append(dataclasses.replace(source, editable=True))
        case "-i" | "--index-url":
            result.indexes[:1] = [os.path.expandvars(value)]
        case "--extra-index-url":
            result.indexes += [] if result.indexes else [DEFAULT_INDEX]
            result.indexes.append(os.path.expandvars(value))
        case "-f" | "--find-links":
            folder = file.parent / value.removeprefix("file://")
            result.find_links.append(value if "://" in value and not folder.is_dir() else str(folder.resolve()))
        case _ if name in _IGNORED:
            return
        case _:
            raise LockError(
                f"{where}: dsenv does not know the option {name}", hint="remove it, or write it to pip.conf"
            )


def _split_option(line: str) -> tuple[str, str]:
    match = re.match(r"(--[\w-]+|-[a-z])(?:[ =]\s*|(?=\S)|$)(.*)$", line)
    if not match:
        return line, ""
    words = shlex.split(match.group(2)) if match.group(2) else []
    return match.group(1), " ".join(words)


def as_source(text: str, base: Path) -> Source | None:
    """The source behind a requirement that names a path or a URL; None for one that an index serves."""
    direct = re.match(r"^\s*([A-Za-z0-9][\w.-]*)\s*(\[[^\]]*\])?\s*@\s*([^;]+?)\s*(?:;\s*(.*))?$", text)
    if direct:
        name, extras, target, marker = direct.groups()
        return _located(target.strip(), base, name=name, extras=_extras(extras), marker=marker or "")
    path, _, marker = text.partition(" ;") if " ;" in text else (text, "", "")
    looks_like_path = re.match(r"^(\.{0,2}/|~/|file:)|\.(whl|zip|tar\.gz)$|^\.$|^\.\.$", path.strip())
    if _VCS.match(path) or "://" in path or looks_like_path:
        bare = re.match(r"^(.*?)(\[[^\]]*\])?$", path.strip())
        assert bare
        return _located(bare.group(1), base, extras=_extras(bare.group(2)), marker=marker.strip())
    return None


def _extras(text: str | None) -> tuple[str, ...]:
    return tuple(sorted(part.strip() for part in (text or "").strip("[]").split(",") if part.strip()))


def _located(target: str, base: Path, *, name: str = "", extras: tuple[str, ...] = (), marker: str = "") -> Source:
    target, _, fragment = target.partition("#")
    pairs = dict(part.partition("=")[::2] for part in fragment.split("&"))
    common = {"name": name or pairs.get("egg", ""), "extras": extras, "marker": marker}
    subdirectory = pairs.get("subdirectory", "")
    vcs = _VCS.match(target)
    if vcs:
        if vcs.group(1) != "git":
            raise LockError(f"{target}: only git is supported, not {vcs.group(1)}", hint="use a git URL or a folder")
        url, revision = _split_revision(target.removeprefix("git+"))
        return Source("git", url, revision=revision, subdirectory=subdirectory, **common)  # type: ignore[arg-type]
    if "://" in target and not target.startswith("file:"):
        return Source("archive", target, **common)  # type: ignore[arg-type]
    path = (base / Path(target.removeprefix("file://").removeprefix("file:")).expanduser()).resolve()
    if not path.exists():
        raise LockError(f"there is no {path}", hint="fix the path in the requirements")
    kind = "directory" if path.is_dir() else "archive"
    return Source(kind, str(path), subdirectory=subdirectory, **common)  # type: ignore[arg-type]


def _split_revision(url: str) -> tuple[str, str]:
    """`https://host/repo.git@rev` apart; an @ before the host is a user's name."""
    head, at, revision = url.rpartition("@")
    after_host = url.find("/", url.find("://") + 3)
    return (head, revision) if at and after_host != -1 and len(head) > after_host else (url, "")
