"""Which paths are part of the code: .gitignore semantics, .dsenvignore, and the project's own patterns."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from pathspec import GitIgnoreSpec

from dsenv.sync.patterns import Patterns

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


class Rules:
    """The verdict for each path of one tree. Files of patterns are read when their folder is first entered."""

    def __init__(self, root: Path, patterns: Sequence[str] = ()) -> None:
        """`patterns` are the project's, from dsenv.toml: they have the last word."""
        self._root = root
        self._own = Patterns(patterns)
        self._default = Patterns(DEFAULTS)
        self._files: dict[tuple[str, str], Patterns | None] = {}
        self._chains: dict[str, list[tuple[int, Patterns]]] = {}
        self._exclude = self._load(".git/info", "exclude")

    def keeps(self, path: str, is_folder: bool) -> bool:
        """Whether `path` (relative, with `/`) is part of the code. Its folder must be one that is kept."""
        subject = f"{path}/" if is_folder else path
        ignored = None
        for start, patterns in self._chain(path.rpartition("/")[0]):
            ignored = patterns.verdict(subject[start:])
            if ignored is not None:
                break
        return not (ignored or (is_folder and _is_environment(f"{self._root}/{path}")))

    def _chain(self, folder: str) -> list[tuple[int, Patterns]]:
        """All patterns that apply in a folder, the strongest first, each with where its paths begin."""
        if folder not in self._chains:
            chain = [(0, self._own)]
            parts = folder.split("/") if folder else []
            for name in (".dsenvignore", ".gitignore"):
                for depth in range(len(parts), -1, -1):
                    above = "/".join(parts[:depth])
                    found = self._load(above, name)
                    if found:
                        chain.append((len(above) + 1 if above else 0, found))
            chain += [(0, self._exclude or Patterns(())), (0, self._default)]
            self._chains[folder] = [(start, patterns) for start, patterns in chain if patterns]
        return self._chains[folder]

    def _load(self, folder: str, name: str) -> Patterns | None:
        key = (folder, name)
        if key not in self._files:
            self._files[key] = _read(self._root / folder / name)
        return self._files[key]


def _read(file: Path) -> Patterns | None:
    try:
        if file.is_symlink():
            return None  # as git does
        data = file.read_bytes()
    except OSError:
        return None
    return Patterns(data.decode("utf-8", "surrogateescape").split("\n"))


def _is_environment(folder: str) -> bool:
    # Called for every folder of a tree: a Path for each would be half of a scan's time.
    return os.path.exists(f"{folder}/pyvenv.cfg") or os.path.exists(f"{folder}/conda-meta")  # noqa: PTH110


class Wanted:
    """The files that a run's outputs are, by the project's `pull` patterns."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._spec = GitIgnoreSpec.from_lines(patterns)

    def __contains__(self, path: str) -> bool:
        return self._spec.match_file(path)
