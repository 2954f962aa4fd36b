"""The folder of one reproduction: code, inputs and the store of its own record."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from dsenv import resources
from dsenv.config import load, paths
from dsenv.errors import StateError, UsageError
from dsenv.events import Cancel
from dsenv.runs import restore
from dsenv.runs.record import Record
from dsenv.workflows.reproduce import environment
from dsenv.workflows.reproduce.model import InputPlan, Item, Plan
from dsenv.workflows.reproduce.plan import is_below

# Left out of a copy of the working tree: made again by tools, or not code.
_NOT_CODE = shutil.ignore_patterns(".git", "__pycache__", "*.pyc", ".venv", "venv", "node_modules", ".dsenv")


class Scratch:
    """Everything of a reproduction that touches the disk lies in here."""

    def __init__(self, plan: Plan, record: Record) -> None:
        self.plan = plan
        self.record = record
        self.folder = self._make()
        self.tree = self.folder / "tree"
        self.store = self.folder / "store"
        self.home = self.folder / "home"
        self.notes: list[Item] = []

    def _make(self) -> Path:
        """A new folder that does not lie where recorded files will be shown."""
        preferred = paths.cache_dir() / "reproductions"
        if is_below(os.fspath(preferred), self.plan.root):
            return Path(tempfile.mkdtemp(prefix="dsenv-reproduce-"))
        try:
            return Path(tempfile.mkdtemp(prefix=f"{self.plan.run.id}-", dir=paths.private(preferred)))
        except OSError as error:
            raise StateError(
                f"cannot make a folder in {preferred}: {error.strerror}", hint="free some space"
            ) from error

    def remove(self) -> None:
        """Delete it; what cannot be deleted stays, in the cache folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def fill(self, cancel: Cancel) -> None:
        """Code, then inputs over it: an input is what was read, whatever became of the file afterwards."""
        self._code()
        for name in ("inputs", "missing", "home", "staging"):
            (self.folder / name).mkdir()
        for number, item in enumerate(self.plan.inputs):
            cancel.check()
            if item.action == "put":
                self._put(item, self.place_of(item, number))
            elif item.action == "hide" and is_below(item.path, self.plan.root):
                self.place_of(item, number).unlink(missing_ok=True)

    def _code(self) -> None:
        if self.plan.code == "working-tree":
            _copy_working_tree(self.tree)
            return
        for link in restore.code(self.record, self.tree):
            self.notes.append(Item("code", link, "a link out of the project; it is not followed here"))
        self.tree.mkdir(exist_ok=True)

    def place_of(self, item: InputPlan, number: int) -> Path:
        """Where the content of an input is put: inside the tree, or beside it."""
        if is_below(item.path, self.plan.root) and item.path != self.plan.root:
            return self.tree / restore.inside(item.path[len(self.plan.root.rstrip("/")) + 1 :])
        kind = "missing" if item.action == "hide" else "inputs"
        return self.folder / kind / str(number)

    def _put(self, item: InputPlan, file: Path) -> None:
        for parent in reversed(file.relative_to(self.folder).parents[:-1]):
            step = self.folder / parent
            if step.is_symlink():
                step.unlink()
            step.mkdir(exist_ok=True)
        file.unlink(missing_ok=True)
        self.record.blob_to(item.blob, file, mode=(item.mode & 0o777) | 0o600)
        if item.mtime_ns is not None:
            os.utime(file, ns=(item.mtime_ns, item.mtime_ns))

    def stdin(self) -> Path | None:
        """A file with the recorded standard input."""
        if self.plan.stdin is None:
            return None
        file = self.folder / "stdin"
        self.record.blob_to(self.plan.stdin, file)
        return file

    def write_plan(self, prefix: str, run_id: str, *, debug: bool) -> list[str]:
        """The command that runs the plan, everything it needs written into the folder."""
        agent = self.folder / "agent.pyz"
        agent.write_bytes(resources.agent_archive())
        python = self.record.data.get("environment", {}).get("python") or {}
        argv = environment.command(self.plan.environment, prefix, python, self.plan.argv)
        env = environment.variables(self.plan.environment, prefix, str(python.get("prefix", "")), self.plan.env)
        mapping: list[tuple[str, str]] = []
        content: dict[str, Any]
        if self.plan.isolation == "namespace":
            root, cwd = self.plan.root, self.plan.cwd
            content = {"staging": str(self.folder / "staging"), **self._view(prefix, env)}
        else:
            root, mapping = str(self.tree), self._mapping()
            cwd = _rewrite(self.plan.cwd, mapping)
            argv = tuple(_rewrite(word, mapping) for word in argv)
            env = {name: _rewrite_list(value, mapping) for name, value in env.items()}
            if not Path(env.get("HOME", "/")).is_dir():
                env["HOME"] = str(self.home)
            content = {"places": [], "hidden": []}
        replay = self.folder / "replay.json"
        replay.write_text(json.dumps({"paths": mapping, "debug": debug, "root": root}))
        capture = ["--store", str(self.store), "--run-id", run_id, "--root", root, "--replay", str(replay), "--", *argv]
        content |= {"cwd": cwd, "env": env, "umask": self.plan.umask, "capture": capture}
        file = self.folder / "plan.json"
        file.write_text(json.dumps(content))
        return [sys.executable, "-I", "-S", str(agent), "replay", str(file)]

    def _view(self, prefix: str, env: dict[str, str]) -> dict[str, Any]:
        """What is shown where in the mount namespace."""
        places = [(str(self.tree), self.plan.root)]
        hidden = []
        for number, item in enumerate(self.plan.inputs):
            if is_below(item.path, self.plan.root):
                continue
            if item.action == "put":
                places.append((str(self.place_of(item, number)), item.path))
            elif item.action == "hide":
                hidden.append(item.path)
        home = env.get("HOME", "")
        if home.startswith("/") and not Path(home).is_dir() and not is_below(self.plan.root, home):
            places.append((str(self.home), home))
        if not Path(self.plan.cwd).is_dir() and not is_below(self.plan.cwd, self.plan.root):
            places.append((str(self.home), self.plan.cwd))
        # What the reproduction itself needs must stay visible when it lies below the recorded project.
        for needed in dict.fromkeys((prefix, sys.prefix, sys.base_prefix, str(self.folder))):
            if needed and is_below(needed, self.plan.root) and Path(needed).is_dir():
                (self.tree / needed[len(self.plan.root) + 1 :]).mkdir(parents=True, exist_ok=True)
                places.append((needed, needed))
        return {"places": places, "hidden": hidden}

    def _mapping(self) -> list[tuple[str, str]]:
        pairs = [(self.plan.root, str(self.tree))]
        for number, item in enumerate(self.plan.inputs):
            if item.action in {"put", "hide"} and not is_below(item.path, self.plan.root):
                pairs.append((item.path, str(self.place_of(item, number))))
        return pairs


def _rewrite(text: str, mapping: list[tuple[str, str]]) -> str:
    """A word with a recorded path, or `--option=path`, pointing to where the path's content is."""
    head, separator, tail = text.rpartition("=") if text.startswith("-") else ("", "", text)
    for old, new in sorted(mapping, key=lambda pair: -len(pair[0])):
        if is_below(tail, old):
            return head + separator + new + tail[len(old.rstrip("/")) :]
    return text


def _rewrite_list(value: str, mapping: list[tuple[str, str]]) -> str:
    return ":".join(_rewrite(part, mapping) for part in value.split(":"))


def _copy_working_tree(target: Path) -> None:
    """The project around the working folder: what git would commit, or all of it without git.

    Raises UsageError outside a project, StateError when it cannot be copied.
    """
    root = load.find() or _git_root() or Path.cwd()
    listed = subprocess.run(
        ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        check=False,
        capture_output=True,
    )
    try:
        if listed.returncode != 0:
            shutil.copytree(root, target, symlinks=True, ignore=_NOT_CODE)
            return
        target.mkdir()
        for name in os.fsdecode(listed.stdout).split("\0"):
            source = root / name
            if name and (source.is_file() or source.is_symlink()):
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target / name, follow_symlinks=False)
    except shutil.Error as error:
        raise StateError(f"cannot copy the working tree {root}: {error.args[0][0][2]}") from error
    except OSError as error:
        raise StateError(f"cannot copy the working tree {root}: {error.strerror}", hint="free some space") from error


def _git_root() -> Path | None:
    try:
        found = subprocess.run(["git", "rev-parse", "--show-toplevel"], check=False, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise UsageError("--code working-tree needs git here", hint="install git, or add a dsenv.toml") from error
    return Path(found.stdout.strip()) if found.returncode == 0 else None
