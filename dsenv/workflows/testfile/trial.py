"""Runs a test in a folder of its own and says which failure its command has.

The test is run as it is written. Only where it would start its command, the process becomes that command, so that
capture sees it as it saw production's.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Literal

from dsenv import resources
from dsenv.agent import runid, schema
from dsenv.agent.rerun import NOT_PREPARED
from dsenv.config import paths
from dsenv.errors import RecordError, StateError
from dsenv.events import Cancel, ignore
from dsenv.runs import restore
from dsenv.runs.record import Record
from dsenv.runs.store.folder import FolderStore
from dsenv.workflows.reproduce import imposed
from dsenv.workflows.reproduce.model import Conditions
from dsenv.workflows.reproduce.plan import is_below
from dsenv.workflows.reproduce.run import forwarded
from dsenv.workflows.reproduce.scratch import remove
from dsenv.workflows.testfile import source
from dsenv.workflows.testfile.model import Draft

_BECOME = """
import importlib.util, os, pathlib, subprocess, sys

def become(argv, *, cwd, env, stdin=None, preexec_fn=None, umask=-1, **_rest):
    os.dup2(stdin.fileno() if hasattr(stdin, "fileno") else os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(cwd)
    if umask >= 0:
        os.umask(umask)
    if preexec_fn is not None:
        preexec_fn()
    os.execvpe(argv[0], argv, env)

file, name, folder, pretend = sys.argv[1:5]
if pretend == "yes":
    subprocess.run = become
spec = importlib.util.spec_from_file_location("saved", file)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
getattr(module, name)(pathlib.Path(folder))
"""


class Trials:
    """A project with the recorded code, in which tests are tried.

    `prefix` is the environment, `longest` the seconds that a trial may take.
    """

    def __init__(
        self, record: Record, draft: Draft, prefix: str, *, isolated: bool, longest: float, cancel: Cancel
    ) -> None:
        self.record, self.draft, self.cancel = record, draft, cancel
        self.python = f"{prefix}/bin/python" if prefix else sys.executable
        self._isolated, self._longest = isolated, longest
        parent = paths.private(paths.cache_dir() / "reproductions")
        try:
            self.folder = Path(tempfile.mkdtemp(prefix=f"dsenv-test-{draft.run}-", dir=parent))
            self.project = self.folder / "project"
            restore.code(record, self.project)
            self.project.mkdir(exist_ok=True)
        except OSError as error:
            raise StateError(f"cannot write in {parent}: {error.strerror}", hint="free some space") from error
        # The test brings what was read; that of the code must not stand in for what it does not bring.
        self._inputs = [file.path for file in draft.files]
        for path in self._inputs:
            if is_below(path, draft.root):
                (self.project / restore.inside(path[len(draft.root.rstrip("/")) + 1 :])).unlink(missing_ok=True)
        self.count = 0

    def close(self) -> None:
        """Remove the folder."""
        remove(self.folder)

    def write(self, draft: Draft, name: str, file: Path, project: Path) -> list[Path]:
        """Write a test and its data. `file` and its data folder must not exist. Returns what was written."""
        data = file.with_name(f"{file.stem}_data")
        file.parent.mkdir(parents=True, exist_ok=True)
        for item in draft.files:
            target = data / restore.inside(str(source.place_of(item.path, draft.root)))
            target.parent.mkdir(parents=True, exist_ok=True)
            if item.content is None:
                self.record.blob_to(item.blob, target, mode=(item.mode & 0o777) | 0o600)
            else:
                target.write_bytes(item.content)
        if draft.stdin is not None or draft.redirected:
            data.mkdir(exist_ok=True)
        if draft.stdin is not None:
            (data / source.STDIN).write_bytes(draft.stdin)
        if draft.redirected:
            (data / source.REDIRECT).mkdir()
            (data / source.REDIRECT / "sitecustomize.py").write_text(source.redirection())
            redirected = json.dumps(source.moved(draft), indent=1)
            (data / source.REDIRECT / "paths.json").write_text(redirected + "\n")
        file.write_text(source.text(draft, name, file, project))
        return [file, data] if data.is_dir() else [file]

    def outcome(self, draft: Draft, name: str) -> schema.Signature | None:
        """The failure of a draft's command in the recorded code; None when it ends well."""
        self.cancel.check()
        file = self._fresh() / f"{name}.py"
        self.write(draft, name, file, self.project)
        try:
            return self.observe(draft, name, file)
        finally:
            shutil.rmtree(file.parent)

    def _fresh(self) -> Path:
        self.count += 1
        return self.project / f"dsenv_trial_{self.count}"

    def observe(self, draft: Draft, name: str, file: Path) -> schema.Signature | None:
        """The failure of the command of a test that is on the disk; None when it ends well.

        Raises RecordError when it cannot be told.
        """
        self.count += 1
        place = self.folder / f"run-{self.count}"
        (place / "staging").mkdir(parents=True)
        (place / "tmp").mkdir()
        (place / "become.py").write_text(_BECOME)
        (place / "agent.pyz").write_bytes(resources.agent_archive())
        run_id, root = runid.new(), place / "tmp" / source.project_at(draft)
        words = [self.python, "-B", str(place / "become.py"), str(file), name, str(place / "tmp"), "yes"]
        capture = ["--store", str(place / "store"), "--run-id", run_id, "--root", str(root)]
        # With less than it was given, a program may wait for ever.
        capture += ["--timeout", str(draft.timeout or self._longest), "--kill-after", "1"]
        plan = {
            "cwd": str(place),
            "env": {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(place)},
            "umask": 0o022,
            "limits": imposed.limits(Conditions(), place, 0),
            "capture": [*capture, "--", *words],
        }
        if self._isolated:
            plan |= {"staging": str(place / "staging"), "cover": str(place), "places": [], "hidden": self._hidden()}
        (place / "plan.json").write_text(json.dumps(plan))
        command = [sys.executable, "-I", "-S", str(place / "agent.pyz"), "replay", str(place / "plan.json")]
        with Path(os.devnull).open("rb") as nothing:
            code = forwarded(command, nothing, ignore, self.cancel)
        try:
            if code == NOT_PREPARED and not (place / "store").exists() and self._isolated:
                self._isolated = False
                return self.observe(draft, name, file)
            again = Record(FolderStore(place / "store"), run_id)
            if not again.complete:
                raise RecordError("a trial was killed before it could be recorded", hint="try again")
            return again.data.get("signature")
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def _hidden(self) -> list[str]:
        """Production's files may be on this machine, too: the test must do without them."""
        mine = os.fspath(self.folder)
        return [
            path for path in self._inputs if os.path.lexists(path) and not is_below(mine, os.fspath(Path(path).parent))
        ]

    def passes(self, name: str, file: Path) -> tuple[bool, Literal["pytest", "plain Python"]]:
        """Whether a test on the disk passes, by pytest or, without it, by calling it; and by which."""
        place = Path(tempfile.mkdtemp(prefix="passes-", dir=self.folder))
        env = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        has_pytest = [self.python, "-c", "import pytest"]
        by_pytest = subprocess.run(has_pytest, check=False, capture_output=True, env=env).returncode == 0
        if by_pytest:
            words = [self.python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--noconftest", "-c", os.devnull]
            words += ["--rootdir", str(file.parent), "--basetemp", str(place / "tmp"), f"{file}::{name}"]
        else:
            (place / "tmp").mkdir()
            (place / "call.py").write_text(_BECOME)
            words = [self.python, "-B", str(place / "call.py"), str(file), name, str(place / "tmp"), "no"]
        with Path(os.devnull).open("rb") as nothing:
            code = forwarded(words, nothing, ignore, self.cancel, env)
        return code == 0, "pytest" if by_pytest else "plain Python"
