"""The folder of one reproduction: code, inputs and the store of its own record."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from dsenv import resources
from dsenv.agent import schema
from dsenv.config import paths
from dsenv.errors import RecordError, StateError
from dsenv.events import Cancel
from dsenv.runs import restore
from dsenv.runs.record import Record
from dsenv.workflows.reproduce import (
    debugging,
    environment,
    imposed,
    interpreters,
    listings,
    objects,
    randomness,
    working_tree,
)
from dsenv.workflows.reproduce.model import InputPlan, Item, Plan
from dsenv.workflows.reproduce.plan import is_below


class Scratch:
    """Everything of a reproduction that touches the disk lies in here.

    Recorded files are put below `files` at their absolute paths, so that a path that climbs out of the project
    finds its neighbours there too.
    """

    def __init__(self, plan: Plan, record: Record) -> None:
        self.plan = plan
        self.record = record
        self.folder = self._make()
        self.tree = self.place_of(plan.root)
        self.store = self.folder / "store"
        self.notes: list[Item] = []
        self.entries = listings.listed(record.inputs())
        self.listed = {path: self.place_of(path) for path in self._shown()}

    def _shown(self) -> list[str]:
        """The listed folders that can be shown as they were."""
        kept = [os.fspath(self.folder), os.fspath(paths.cache_dir()), os.fspath(paths.data_dir()), self.plan.root]
        kept += interpreters.folders(self.plan.environment.prefix)
        inside = [path for path in self.entries if self.plan.root != "/" and is_below(path, self.plan.root)]
        return [*inside, *listings.coverable((path for path in self.entries if path not in inside), kept)]

    def _make(self) -> Path:
        """A new folder that does not lie where recorded files will be shown, if there is any such place."""
        preferred = paths.cache_dir() / "reproductions"
        others = [Path(tempfile.gettempdir()), Path("/var/tmp")]  # noqa: S108 - mkdtemp makes a private folder in it
        free = [folder for folder in (preferred, *others) if not is_below(os.fspath(folder), self.plan.root)]
        problem: tuple[Path, OSError] | None = None
        for parent in free or [preferred]:
            try:
                if parent == preferred:
                    paths.private(preferred)
                return Path(tempfile.mkdtemp(prefix=f"dsenv-{self.plan.run.id}-", dir=parent))
            except OSError as error:  # a home that is read-only, for one
                problem = problem or (parent, error)
        assert problem is not None
        raise StateError(
            f"cannot make a folder in {problem[0]}: {problem[1].strerror}",
            hint="make it writable, or set XDG_CACHE_HOME to a folder that is",
        ) from problem[1]

    def remove(self) -> None:
        """Delete it, with folders that the command closed to us; what still cannot be deleted stays."""
        remove(self.folder)

    def fill(self, cancel: Cancel) -> None:
        """Code, then inputs over it: an input is what was read, whatever became of the file afterwards.

        Raises RecordError for inputs that cannot all be there, StateError when the disk refuses.
        """
        with self._writing():
            (self.folder / "staging").mkdir()
            self.tree.parent.mkdir(parents=True, exist_ok=True)
            self._code()
            for item in self.plan.inputs:
                cancel.check()
                if item.action == "put":
                    self._put(item, self.place_of(item.path))
                elif item.action == "hide" and is_below(item.path, self.plan.root):
                    self._hide(self.place_of(item.path))
            read = {item.path for item in self.plan.inputs}
            self.notes += listings.fill(self.entries, self.listed, read, self.folder / "files")

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StateError(
                f"cannot write {error.filename or self.folder}: {error.strerror}",
                hint="free some space, or set XDG_CACHE_HOME to a folder with more",
            ) from error

    def _code(self) -> None:
        if self.plan.code == "working-tree":
            working_tree.copy(self.tree)
            return
        for link in restore.code(self.record, self.tree):
            self.notes.append(Item("code", link, "a link out of the project; it is not followed here"))
        self.tree.mkdir(exist_ok=True)

    def place_of(self, path: str) -> Path:
        """Where what was at the absolute `path` is put."""
        return self.folder / "files" / restore.inside(path.strip("/")) if path.strip("/") else self.folder / "files"

    def _put(self, item: InputPlan, file: Path) -> None:
        for parent in reversed(file.relative_to(self.folder).parents[:-1]):
            step = self.folder / parent
            if step.is_symlink():
                step.unlink()
            elif step.is_file():
                raise RecordError(f"{item.path} lies in a file", hint="the record was changed; do not trust it")
            step.mkdir(exist_ok=True)
        if file.is_dir() and not file.is_symlink():
            raise RecordError(f"{item.path} is a file and a folder", hint="the record was changed; do not trust it")
        file.unlink(missing_ok=True)
        self.record.blob_to(item.blob, file, mode=(item.mode & 0o777) | 0o600)
        if item.mtime_ns is not None:
            with contextlib.suppress(OverflowError):  # a time that no file can have changes nothing
                os.utime(file, ns=(item.mtime_ns, item.mtime_ns))

    def _hide(self, file: Path) -> None:
        """What was not there when it was asked for; a folder of that name came later and stays."""
        if file.is_symlink() or file.is_file():
            file.unlink()

    def stdin(self) -> Path | None:
        """A file with the recorded standard input."""
        if self.plan.stdin is None:
            return None
        file = self.folder / "stdin"
        self.record.blob_to(self.plan.stdin, file)
        return file

    def write_plan(self, prefix: str, run_id: str, *, debug: bool, reserved: int = 0) -> list[str]:
        """The command that runs the plan, everything it needs written into the folder. Raises StateError.

        `reserved`, when it is not 0, is how many bytes of memory a process may reserve to write to.
        """
        agent, replay, file = (self.folder / name for name in ("agent.pyz", "replay.json", "plan.json"))
        with self._writing():
            content, mapping = self._content(prefix)
            root = str(self.tree) if mapping else self.plan.root
            agent.write_bytes(resources.agent_archive())
            config = {"paths": mapping, "debug": debug, "root": root, **randomness.write(self.record, self.folder)}
            config |= objects.write(self.record, self.folder)
            if debug:
                config |= debugging.write(self.record, self.folder)
            config["listings"] = listings.order(self.entries, self.listed)
            replay.write_text(json.dumps(config | imposed.in_python(self.plan)))
            content["env"] |= self.plan.conditions.variables
            content["limits"] = imposed.limits(self.plan.conditions, self.folder, reserved)
            capture = ["--store", str(self.store), "--run-id", run_id, "--root", root, "--replay", str(replay)]
            if (seconds := self.record.data.get("timeout")) and not debug:
                capture += ["--timeout", str(seconds), "--kill-after", str(self.record.data.get("kill_after") or 0)]
            content["capture"] = [*capture, *randomness.options(self.record), "--", *content.pop("argv")]
            file.write_text(json.dumps(content))
        return [sys.executable, "-I", "-S", str(agent), "replay", str(file)]

    def _content(self, prefix: str) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        """What the process is to set up, and the paths to redirect when it has no view of its own."""
        python = self.record.data.get("environment", {}).get("python") or {}
        argv = environment.command(self.plan.environment, prefix, python, self.plan.argv)
        env = environment.variables(self.plan.environment, prefix, str(python.get("prefix", "")), self.plan.env)
        for folder in self._absent(env):
            self.place_of(folder).mkdir(parents=True, exist_ok=True)
        content: dict[str, Any] = {"cwd": self.plan.cwd, "argv": argv, "env": env, "umask": self.plan.umask}
        if self.plan.isolation == "namespace":
            cover = str(self.folder) if self.plan.conditions.covered else ""
            return content | {"staging": str(self.folder / "staging"), "cover": cover, **self._view(prefix, env)}, []
        mapping = self._mapping(prefix, env)
        in_root = self.plan.cwd == self.plan.root
        return content | {
            "cwd": str(self.tree) if in_root else rewrite(self.plan.cwd, mapping),
            "argv": tuple(rewrite(word, mapping) for word in argv),
            "env": {name: rewrite(value, mapping) for name, value in env.items()},
        }, mapping

    def _absent(self, env: dict[str, str]) -> list[str]:
        """Folders that the command takes for granted and that are not on this machine."""
        wanted = (env.get("HOME", ""), self.plan.cwd)
        return [
            folder
            for folder in dict.fromkeys(wanted)
            if folder.startswith("/") and not _enterable(folder) and not is_below(folder, self.plan.root)
        ]

    def _view(self, prefix: str, env: dict[str, str]) -> dict[str, Any]:
        """What is shown where in the mount namespace."""
        outside = [item for item in self.plan.inputs if not is_below(item.path, self.plan.root)]
        shown = [
            *self._roots(),
            *self._absent(env),
            *self._outside(),
            *(item.path for item in outside if item.action == "put"),
        ]
        places = [(str(self.place_of(path)), path) for path in shown]
        for path in self._kept(prefix):
            covered = self.place_of(path)
            covered.parent.mkdir(parents=True, exist_ok=True)
            covered.mkdir(exist_ok=True) if _enterable(path) else covered.touch()
            places.append((path, path))
        return {"places": places, "hidden": [item.path for item in outside if item.action == "hide"]}

    def _outside(self) -> list[str]:
        """The listed folders that do not lie in the project."""
        return [path for path in self.listed if not is_below(path, self.plan.root)]

    def _roots(self) -> list[str]:
        """What the restored project covers: its folder; of one in `/` only what is not a folder of this machine."""
        if self.plan.root != "/":
            return [self.plan.root]
        found: list[str] = []
        pending = [self.tree]
        while pending:
            for entry in pending.pop().iterdir():
                path = f"/{entry.relative_to(self.tree)}"
                if entry.is_dir() and not entry.is_symlink() and _enterable(path):
                    pending.append(entry)
                else:
                    found.append(path)
        return found

    def _kept(self, prefix: str) -> list[str]:
        """What must stay visible although it lies in the recorded project, which is covered by its restored copy.

        Interpreters, this reproduction itself, and inputs of which this machine has the very content.
        """
        needed = [*interpreters.folders(prefix), sys.prefix, sys.base_prefix, str(self.folder)]
        if self.plan.code == "recorded":
            needed += [item.path for item in self.plan.inputs if item.action == "here"]
        if self.plan.root == "/":
            return []
        inside = [path for path in dict.fromkeys(needed) if is_below(path, self.plan.root) and os.access(path, os.R_OK)]
        return [path for path in inside if path != self.plan.root]

    def _mapping(self, prefix: str, env: dict[str, str]) -> list[tuple[str, str]]:
        """Recorded paths and where they are here. Folders that are not on this machine are mapped as a whole."""
        outside = [
            item.path
            for item in self.plan.inputs
            if item.action in {"put", "hide"} and not is_below(item.path, self.plan.root)
        ]
        moved = [*self._roots(), *(_topmost_absent(path) for path in (*outside, *self._outside(), *self._absent(env)))]
        for path in moved:  # what was not there may be made, as its folder was there
            with contextlib.suppress(FileExistsError, NotADirectoryError):
                self.place_of(path).parent.mkdir(parents=True, exist_ok=True)
        kept = [path for path in self._kept(prefix) if not is_below(os.fspath(self.folder), path)]
        for path in kept:
            covered = self.place_of(path)
            covered.parent.mkdir(parents=True, exist_ok=True)
            if not os.path.lexists(covered):
                covered.symlink_to(path)
        return [*((path, str(self.place_of(path))) for path in dict.fromkeys(moved)), *((path, path) for path in kept)]

    def as_recorded(self, found: schema.Signature | None) -> schema.Signature | None:
        """A signature with the recorded name of its file, which may have been put beside the project here."""
        return _in_folder(found, os.fspath(self.folder / "files"), "/")

    def comparable(self, found: schema.Signature | None) -> schema.Signature | None:
        """A signature whose file is named from the project wherever that was."""
        return _in_folder(self.as_recorded(found), self.plan.root, "")


def _in_folder(found: schema.Signature | None, folder: str, instead: str) -> schema.Signature | None:
    """A signature in which `instead` stands for a folder at the beginning of its file's name."""
    frame = found["frame"] if found else None
    if found is None or frame is None or not is_below(frame["file"], folder):
        return found
    return {**found, "frame": {**frame, "file": instead + frame["file"].removeprefix(folder).lstrip("/")}}


def _enterable(path: str) -> bool:
    """Whether a folder is here and open to us: root's home was production's, perhaps, and is closed to others."""
    return os.access(f"{path}/", os.R_OK | os.X_OK)


def _topmost_absent(path: str) -> str:
    """The folder nearest to the root that is not on this machine on the way to `path`; itself when all are."""
    above = (os.fspath(folder) for folder in reversed(PurePosixPath(path).parents))
    return next((folder for folder in above if not _enterable(folder)), path)


def rewrite(text: str, mapping: list[tuple[str, str]]) -> str:
    """A word with recorded paths in it (`PATH`, `--option=PATH`, `cd PATH && ...`), pointing to their content.

    A path in a word begins and ends where no name could go on.
    """
    pairs = {old.rstrip("/"): new for old, new in mapping if old.rstrip("/")}
    if not pairs:
        return text
    whole = os.path.normpath(text) if text.startswith("/") and "/.." in text else text
    known = "|".join(re.escape(old) for old in sorted(pairs, key=len, reverse=True))
    return re.sub(rf"(?<![\w./-])({known})(?![\w.-])", lambda found: pairs[found.group(1)], whole)


def remove(folder: Path) -> None:
    """Delete a folder in which commands ran; what cannot be deleted stays."""
    for above, names, _ in os.walk(folder):
        for below in (Path(above) / name for name in names):
            if not below.is_symlink():
                with contextlib.suppress(OSError):
                    below.chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)
