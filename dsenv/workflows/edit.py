"""Open a recorded line in the user's editor, in the code that is here."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

from dsenv.config import load
from dsenv.errors import UsageError
from dsenv.workflows.reproduce.plan import is_below

_GO_TO = {"code": "--goto", "codium": "--goto", "cursor": "--goto", "subl": "", "zed": ""}


def local_file(recorded: str, root: str) -> Path:
    """The file of the working tree that corresponds to a recorded one. Raises UsageError when there is none."""
    here = load.find() or Path.cwd()
    candidates = [Path(recorded)]
    if is_below(recorded, root) and recorded != root:
        candidates.insert(0, here / recorded[len(root.rstrip("/")) + 1 :])
    for file in candidates:
        if os.access(file, os.R_OK) and file.is_file():
            return file
    raise UsageError(f"there is no {candidates[0]} here", hint="start dsenv in the project's folder")


def command(file: Path, line: int) -> list[str]:
    """The editor's command line. Raises UsageError when no editor is known."""
    editor = (
        os.environ.get("VISUAL")
        or os.environ.get("EDITOR")
        or next((name for name in ("nano", "vim", "vi") if shutil.which(name)), "")
    )
    if not editor:
        raise UsageError("no editor is known", hint="set EDITOR, for example: export EDITOR=nano")
    words = shlex.split(editor)
    name = Path(words[0]).name
    if name in _GO_TO:
        return [*words, *([_GO_TO[name]] if _GO_TO[name] else []), f"{file}:{line}"]
    return [*words, f"+{line}", str(file)]


def edit(file: Path, line: int) -> int:
    """Run the editor on the terminal; returns its exit code."""
    words = command(file, line)
    try:
        return subprocess.run(words, check=False).returncode
    except OSError as error:
        raise UsageError(f"cannot start the editor {words[0]}: {error.strerror}", hint="set EDITOR") from error
