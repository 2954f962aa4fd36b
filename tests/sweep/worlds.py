"""A user of their own with a project, and where its workstation is: what a sweep works on, and its referee."""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import fnmatch
import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from dsenv.models.machine import Identity
from tests.sweep.commands import Done, Launcher
from tests.sweep.launcher import RANDOM
from tests.sweep.points import Point, Recording

# What a dsenv that has no workstation may leave: locks (removing one would let two holders in), the empty files of its
# ssh configuration, the word by which it is told from others, and what is only there to save time.
MAY_STAY = (
    ".cache/*",
    ".local/share/dsenv/installation.*",
    ".local/share/dsenv/ssh/lock",
    ".local/share/dsenv/ssh/config",
    ".local/share/dsenv/ssh/hosts.json",
    ".local/share/dsenv/ssh/known_hosts",
    ".local/state/dsenv/workstations/*/lock",
    ".local/state/dsenv/docker/*.lock",
)
_FOLDERS = (
    ".cache", ".cache/*", ".ssh", ".local", ".local/share", ".local/share/dsenv", ".local/share/dsenv/ssh",
    ".local/share/dsenv/aws", ".local/share/dsenv/workstations", ".local/state", ".local/state/dsenv",
    ".local/state/dsenv/docker", ".local/state/dsenv/workstations", ".local/state/dsenv/workstations/proj-default-*",
)  # fmt: skip

_UNFINISHED = (".*", ".new", ".config.dsenv")


@dataclasses.dataclass(frozen=True)
class Left:
    """What a command left: two points that leave the same need the same mending.

    `shape`: what there is, and which values of our files are set, without names and values that are chance.
    `unfinished`: files that were to be renamed; nobody reads them, but they must go.
    """

    shape: str
    unfinished: frozenset[str]


class World(abc.ABC):
    """`base` is a folder of its own."""

    provider: ClassVar[str]

    def __init__(self, launcher: Launcher, base: Path, environ: dict[str, str], settings: str) -> None:
        self._launcher = launcher
        self.home, self.project = base / "home", base / "proj"
        self.home.mkdir()
        self.project.mkdir()
        text = f'[project]\nname = "proj"\n[workstations.default]\nprovider = "{self.provider}"\n{settings}\n'
        (self.project / "dsenv.toml").write_text(text)
        self.environ = environ | {"HOME": str(self.home)}
        self.identity = Identity(self.project, "proj", "default")
        self.state = "absent"  # as the last check has seen it
        self.known: Left | None = None  # what was left then

    def dsenv(self, *words: str, **options: Any) -> Done:
        return self._launcher.run(words, self.environ, self.project, **options)

    def bring(self, state: str) -> None:
        """To absent, running or stopped, by the commands of a user."""
        if state == self.state:
            if state == "absent":
                self._fresh()
            return
        if state == "absent":
            self._well("down", "--yes")
            self._fresh()
        elif state == "running":
            self._well("start" if self.state == "stopped" else "up")
        else:
            if self.state == "absent":
                self._well("up")
            self._well("stop")
        self.state = state

    def _well(self, *words: str) -> None:
        done = self.dsenv(*words)
        assert done.code == 0, str(done)

    def record(self, words: tuple[str, ...]) -> Recording:
        """Run a command undisturbed."""
        file = self.home.with_name("changes")
        self._without_cache()
        self.calls(clear=True)
        done = self.dsenv(*words, record=file)
        assert done.code == 0, str(done)
        return Recording(file.read_text().splitlines(), self.calls())

    def killed(self, words: tuple[str, ...], point: Point) -> Done:
        """Run a command that dies at the point."""
        self._without_cache()
        if point.kind == "write":
            return self.dsenv(*words, kill=point.at)
        try:
            return self.dsenv(*words, armed=lambda pid: self.arm(pid, point))
        finally:
            self.disarm()

    def _without_cache(self) -> None:
        """What is only there to save time would be asked for once, and not at the next point."""
        shutil.rmtree(self.home / ".cache", ignore_errors=True)

    def wrong(self, state: str) -> list[str]:
        """What is not as it must be when the workstation is in this state; empty when all is well."""
        found = []
        held, needed = self.held(), self.needed(state)
        if held != needed:
            found.append(f"there is {held} instead of {needed}")
        listed = [(item["name"], item["state"]) for item in self.listed()]
        wanted = [] if state == "absent" else [("default", state)]
        if listed != wanted:
            found.append(f"ls lists {listed}")
        if state == "running" and (said := self.reached()):
            found.append(f"cannot be reached: {said}")
        if state == "absent" and (litter := self.litter()):
            found.append(f"left at home: {litter}")
        return found

    def left(self) -> Left:
        """What is here and there now."""
        paths = [(RANDOM.sub(".*", str(path.relative_to(self.home))), path) for path in self.home.rglob("*")]
        unfinished = {name for name, _ in paths if name.endswith(_UNFINISHED)}
        empty = {name for name, path in paths if path.is_dir() and _among(name, _FOLDERS)}
        here = sorted(_shape(name, path) for name, path in paths if name not in unfinished | empty)
        return Left(json.dumps([here, self.held(), self.details()]), frozenset(unfinished))

    def remembered(self) -> Path:
        """The file that says where the workstation answered last."""
        return self.home / ".local/state/dsenv/workstations" / self.identity.id / "machine.json"

    def listed(self) -> list[dict[str, Any]]:
        done = self.dsenv("ls", "--json")
        assert done.code == 0, str(done)
        assert not done.json()["unasked"], str(done)
        return list(done.json()["workstations"])

    def reached(self) -> str:
        """Log in by the alias and the key that ssh finds in its configuration. Returns what went wrong."""
        argv = ["ssh", "-F", str(self.home / ".ssh/config"), "-o", "BatchMode=yes", self.identity.alias, "true"]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, env=self.environ, check=False)
        return "" if done.returncode == 0 else f"{done.returncode} {done.stderr}"

    def litter(self) -> list[str]:
        """What a dsenv that was never used has not."""
        found = []
        for path in sorted(self.home.rglob("*")):
            name = str(path.relative_to(self.home))
            if not _among(name, _FOLDERS if path.is_dir() else MAY_STAY):
                found.append(name)
        return found

    def forget(self) -> None:
        """After something went wrong: nothing is left, by other means than dsenv's."""
        self.disarm()
        self.destroy()
        self._fresh()
        self.state = "absent"

    def restore(self, state: str, left: Left | None) -> None:
        """What is left was mended before: it may stay when nothing had changed yet; else begin anew."""
        if left == self.known:
            self.state = state
        else:
            self.forget()

    def _fresh(self) -> None:
        """A home in which nothing ever was: the same changes come again."""
        for path in self.home.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    @abc.abstractmethod
    def calls(self, *, clear: bool = False) -> list[str]:
        """The calls of the API since the last clearing."""

    @abc.abstractmethod
    def arm(self, pid: int, point: Point) -> None:
        """Kill the process at the point."""

    @abc.abstractmethod
    def disarm(self) -> None: ...

    @abc.abstractmethod
    def held(self) -> list[tuple[str, str]]:
        """Kind and state of everything of ours that is there, asked of the referee."""

    @abc.abstractmethod
    def needed(self, state: str) -> list[tuple[str, str]]:
        """What `held` has to be."""

    @abc.abstractmethod
    def size(self) -> str:
        """How large the workstation is, asked of the referee."""

    @abc.abstractmethod
    def details(self) -> object:
        """What else of the referee's knowledge makes a difference."""

    @abc.abstractmethod
    def destroy(self) -> None: ...


def _among(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _shape(name: str, path: Path) -> str:
    if path.is_dir():
        return f"{name}/"
    if path.suffix == ".json":
        with contextlib.suppress(ValueError):
            return f"{name} {_kinds(json.loads(path.read_bytes()))}"
    return f"{name} {len(path.read_bytes().splitlines())}"


def _kinds(value: object) -> object:
    if isinstance(value, dict):
        return {str(key).rpartition("-")[0] or key: _kinds(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_kinds(item) for item in value]
    return value if isinstance(value, bool | None) else bool(value)
