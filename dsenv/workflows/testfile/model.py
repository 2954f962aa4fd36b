"""A failure as a test, before it is text: what the command is given, and what can be left out."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Literal

from dsenv.agent import schema
from dsenv.workflows.reproduce.model import Reproduction

WorkingTree = Literal["fails", "passes", "fails-differently", "not-run"]


@dataclasses.dataclass(frozen=True)
class DataFile:
    """A recorded input. `path` is where the command read it; `lines`, when given, is what is left of it."""

    path: str
    blob: str
    size: int
    mode: int = 0o644
    content: bytes | None = None  # after it was reduced


@dataclasses.dataclass(frozen=True)
class Draft:
    """All that the test gives the command. Paths are the recorded ones; `root` is the project's."""

    run: str
    argv: tuple[str, ...]
    python: tuple[str, ...]  # words of argv that mean the Python that runs the test
    programs: str  # folder of the recorded environment's programs, "" when there was none
    root: str
    cwd: str
    home: str
    env: tuple[tuple[str, str], ...] = ()
    files: tuple[DataFile, ...] = ()
    listed: tuple[tuple[str, tuple[str, ...]], ...] = ()  # a folder and its entries, folders with a slash
    stdin: bytes | None = None
    limits: tuple[tuple[str, int], ...] = ()  # names of ulimits, as in `resource`
    umask: int | None = None
    processors: int = 0
    timeout: float | None = None
    redirected: bool = False  # the command opens files outside the project by names of its own
    why: str = ""  # the failure in words
    where: str = ""
    reduced: tuple[str, ...] = ()  # what was left out, in words


@dataclasses.dataclass(frozen=True)
class Options:
    """Where the test goes. `seconds` is how long inputs are made smaller; `overwrite` replaces what is not ours."""

    file: Path
    overwrite: bool = False
    dry_run: bool = False
    seconds: float = 30.0


@dataclasses.dataclass(frozen=True)
class Saved:
    """What came of it. Nothing was written when `reason` says why."""

    reproduction: Reproduction | None
    file: Path
    name: str
    written: tuple[Path, ...] = ()
    reason: str | None = None
    reduced: tuple[str, ...] = ()
    verified_by: Literal["pytest", "plain Python", ""] = ""
    working_tree: WorkingTree = "not-run"
    observed: schema.Signature | None = None  # by the working tree, when it fails differently

    def to_json(self) -> dict[str, Any]:
        return {
            "run": self.reproduction.run.id if self.reproduction else None,
            "verdict": self.reproduction.verdict if self.reproduction else None,
            "file": str(self.file),
            "test": self.name,
            "written": [str(path) for path in self.written],
            "reason": self.reason,
            "reduced": self.reduced,
            "verified_by": self.verified_by or None,
            "working_tree": self.working_tree,
            "observed": self.observed,
        }
