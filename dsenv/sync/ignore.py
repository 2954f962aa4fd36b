"""Which paths are part of the code: .gitignore semantics, .dsenvignore, and the project's own patterns."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from pathspec import GitIgnoreSpec

_Patterns = list[tuple[re.Pattern[str], bool]]
_FOLDER_MARK = "ps_d"

# What no run needs and what would be wrong on another machine. Anything here can be had back by `!pattern`.
DEFAULTS = (
    ".git",
    ".hg",
    ".svn",
    ".venv/",
    "__pycache__/",
    "*.py[co]",
    "node_modules/",
    ".ipynb_checkpoints/",
    ".mypy_cache/",
    ".pytest_cache/",
    ".ruff_cache/",
    ".tox/",
    ".nox/",
    ".DS_Store",
    "*.dsenv~",
)
_ENVIRONMENT_MARKS = ("pyvenv.cfg", "conda-meta")


class Rules:
    """The verdict for each path of one tree. Files of patterns are read when their folder is first entered."""

    def __init__(self, root: Path, patterns: Sequence[str] = ()) -> None:
        """`patterns` are the project's, from dsenv.toml: they have the last word."""
        self._root = root
        self._own = _compile(patterns)
        self._default = _compile(DEFAULTS)
        self._specs: dict[tuple[str, str], _Patterns | None] = {}
        self._read: list[bytes] = ["\n".join([*DEFAULTS, "", *patterns]).encode("utf-8", "surrogateescape")]
        self._exclude = self._load(root / ".git" / "info" / "exclude")

    def keeps(self, path: str, is_folder: bool) -> bool:
        """Whether `path` (relative, with `/`) is part of the code. Its folder must be one that is kept."""
        if is_folder and any((self._root / path / mark).exists() for mark in _ENVIRONMENT_MARKS):
            return False
        subject = f"{path}/" if is_folder else path
        for verdict in (
            _verdict(self._own, subject),
            self._from_files(".dsenvignore", path, is_folder),
            self._from_files(".gitignore", path, is_folder),
            _verdict(self._exclude, subject),
        ):
            if verdict is not None:
                return not verdict
        return not _verdict(self._default, subject)

    def digest(self) -> str:
        """Changes when any pattern that was read so far does."""
        return hashlib.sha256(b"\0".join(self._read)).hexdigest()

    def _from_files(self, name: str, path: str, is_folder: bool) -> bool | None:
        """The verdict of the nearest file of that name that has one."""
        parts = path.split("/")
        for depth in range(len(parts) - 1, -1, -1):
            folder = "/".join(parts[:depth])
            spec = self._spec(folder, name)
            if spec is None:
                continue
            inside = "/".join(parts[depth:])
            verdict = _verdict(spec, f"{inside}/" if is_folder else inside)
            if verdict is not None:
                return verdict
        return None

    def _spec(self, folder: str, name: str) -> _Patterns | None:
        key = (folder, name)
        if key not in self._specs:
            self._specs[key] = self._load(self._root / folder / name)
        return self._specs[key]

    def _load(self, file: Path) -> _Patterns | None:
        if file.is_symlink():
            return None  # as git does
        try:
            data = file.read_bytes()
        except OSError:
            return None
        self._read.append(data)
        return _compile(data.decode("utf-8", "surrogateescape").split("\n"))


def _verdict(patterns: _Patterns | None, path: str) -> bool | None:
    """True: ignored; False: had back by `!`; None: no pattern says anything. A folder's path ends with a slash."""
    for regex, ignored in patterns or ():
        if _matches(regex, path):
            return ignored
    return None


def _matches(regex: re.Pattern[str], path: str) -> bool:
    """Whether a pattern of pathspec matches `path` itself.

    Its expressions also match what lies below a matched folder, which git leaves to the folder's own verdict: with
    `*.log` and `!b/` it ignores b/x.log. They mark the slash at a folder's end by the group `ps_d`.
    """
    if _FOLDER_MARK not in regex.groupindex:
        found = regex.search(path)
        return found is not None and not (regex.pattern.endswith("/") and found.end() == len(path))
    return any(match.start(_FOLDER_MARK) in {-1, len(path) - 1} for match in regex.finditer(path))


def _compile(lines: Iterable[str]) -> _Patterns:
    """The patterns of some lines, the last one first: it decides."""
    found: _Patterns = []
    for pattern in reversed(list(GitIgnoreSpec.from_lines(lines).patterns)):
        regex = getattr(pattern, "regex", None)  # comments and empty lines have none
        if isinstance(regex, re.Pattern) and pattern.include is not None:
            found.append((regex, pattern.include))
    return found


class Wanted:
    """The files that a run's outputs are, by the project's `pull` patterns."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._spec = GitIgnoreSpec.from_lines(patterns)

    def __contains__(self, path: str) -> bool:
        return self._spec.match_file(path)
