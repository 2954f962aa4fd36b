"""What a reproduction is planned to do, and what came of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from dsenv.agent import schema
from dsenv.envs.lockfile import Lock
from dsenv.runs.index import RunSummary
from dsenv.runs.record import OutputChunk

Verdict = Literal["same-failure", "different-failure", "passed", "cannot-reproduce"]
CodeChoice = Literal["recorded", "working-tree"]
Isolation = Literal["namespace", "redirect"]


@dataclasses.dataclass(frozen=True)
class Item:
    """One thing of the run: what it is, which one, and how it is brought back or why it is not."""

    what: str  # code | environment | input | env | argv | stdin | folder | hash-seed | ...
    name: str
    note: str


@dataclasses.dataclass(frozen=True)
class Difference:
    """Something that is another way here than it was there; `fix` makes it the same, where something does."""

    what: str
    name: str
    recorded: str
    here: str
    why: str
    fix: str = ""


@dataclasses.dataclass(frozen=True)
class Choice:
    """The environment that the command will find."""

    how: Literal["interpreter", "lock", "distributions", "machine"]
    note: str
    prefix: str = ""  # of the recorded interpreter, for `interpreter`
    lock: Lock | None = None
    distributions: tuple[schema.Distribution, ...] = ()
    python: str = ""  # version wanted


@dataclasses.dataclass(frozen=True)
class InputPlan:
    """What to do about one recorded input."""

    path: str
    action: Literal["put", "hide", "here", "lost"]
    blob: str = ""
    mode: int = 0o600
    mtime_ns: int | None = None


@dataclasses.dataclass(frozen=True)
class Means:
    """What this machine lets us do. `memory` is how a limit is imposed: `cgroup`, `watch` (a process kills), or not."""

    namespace: bool = False
    memory: str = ""
    quota: bool = False
    affinity: bool = False
    overlay: bool = False  # what is written outside the scratch folder can be kept from the disk


@dataclasses.dataclass(frozen=True)
class Conditions:
    """What the command's processes are held to and told, where this machine would do otherwise; sizes in bytes.

    `variables` are set for them and hidden from Python's `os.environ`, because the recorded run had none.
    """

    ulimits: Mapping[str, tuple[int, int]] = dataclasses.field(default_factory=dict)  # soft and hard, -1 for none
    memory: int = 0
    memory_kill: Literal["process", "group"] = "process"
    memory_by: str = ""  # cgroup or watch, see `Means`
    quota: float = 0.0  # CPUs
    affinity: int = 0  # processors to run on
    cpu_count: int = 0  # what Python is told
    usable: int = 0  # what Python is told of processors that are not here
    threads: int = 0  # of BLAS
    variables: Mapping[str, str] = dataclasses.field(default_factory=dict)
    covered: bool = False  # nothing outside the scratch folder is written
    clock: int = 0  # when the program's clock begins, microseconds since the epoch


@dataclasses.dataclass(frozen=True)
class Plan:
    """All decisions of a reproduction, made before anything is written."""

    run: RunSummary
    code: CodeChoice
    root: str  # where the code lay
    cwd: str
    argv: tuple[str, ...]
    env: dict[str, str]
    umask: int
    environment: Choice
    inputs: tuple[InputPlan, ...]
    stdin: str | None  # blob
    isolation: Isolation
    restored: tuple[Item, ...]
    not_restored: tuple[Item, ...]
    conditions: Conditions = Conditions()

    def to_json(self) -> dict[str, Any]:
        return {
            "run": self.run.id,
            "code": self.code,
            "command": list(self.argv),
            "folder": self.cwd,
            "environment": self.environment.note,
            "isolation": self.isolation,
            "restored": self.restored,
            "not_restored": self.not_restored,
        }


@dataclasses.dataclass(frozen=True)
class Explanation:
    """Where a process was that was killed for want of memory: found by a second run that could not have so much."""

    limit: int  # bytes that a process could reserve in the second run
    signature: schema.Signature
    seconds: float


@dataclasses.dataclass(frozen=True)
class Reproduction:
    """What came of it. `reason` says why for `cannot-reproduce`.

    `frames` are those of the run, or, when it was killed for want of memory, those of the run that `explained_by`
    tells of. `not_stopped` says why a debugger that was asked for stopped in no frame.
    """

    run: RunSummary
    verdict: Verdict
    recorded: schema.Signature | None
    observed: schema.Signature | None
    differences: tuple[Difference, ...]
    restored: tuple[Item, ...]
    not_restored: tuple[Item, ...]
    reason: str | None = None
    exit: int | None = None
    seconds: float = 0.0
    frames: schema.Frames | None = None
    explained_by: Explanation | None = None
    output: tuple[OutputChunk, ...] = ()
    scratch: str | None = None
    code: CodeChoice = "recorded"
    not_stopped: str | None = None

    @property
    def fixed(self) -> bool | None:
        """Whether the working tree no longer fails; None when that was not asked, or cannot be said."""
        asked = self.code == "working-tree" and self.verdict != "cannot-reproduce"
        return self.verdict == "passed" if asked else None

    def to_json(self) -> dict[str, Any]:
        return {
            "run": self.run.id,
            "verdict": self.verdict,
            "fixed": self.fixed,
            "reason": self.reason,
            "recorded": self.recorded,
            "observed": self.observed,
            "explained_by": self.explained_by,
            "exit": self.exit,
            "seconds": round(self.seconds, 3),
            "differences": self.differences,
            "restored": self.restored,
            "not_restored": self.not_restored,
            "scratch": self.scratch,
            "not_stopped": self.not_stopped,
        }
