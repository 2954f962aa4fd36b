"""A small program that fails, and what must be found out about it."""

from __future__ import annotations

import dataclasses
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from dsenv.workflows.reproduce.model import Isolation, Verdict

PROGRAMS = Path(__file__).parent / "programs"


def nothing(root: Path) -> None:
    """No preparation, or nothing that happened since."""


def always() -> bool:
    """Any machine will do."""
    return True


@dataclasses.dataclass(frozen=True)
class Case:
    """A failing program. In `command`, {python} and {root} stand for the interpreter and the program's folder.

    `type` and `message` are those of the signature of an exception, `signal` that of a signal, and with none of them
    it is kind `exit`; `file`, `function` and `line_text` are those of its frame. `exit` is None for a signal. `inputs`
    are the files that it read, relative to the folder; `cause` is the type of the exception's cause, or the reason of
    the signal.
    `before` prepares the folder where it "ran in production"; `afterwards` is what became of the machine since, which
    a reproduction must not notice.
    """

    name: str
    command: tuple[str, ...]
    type: str | None = None
    message: str | None = None
    file: str = ""
    function: str = ""
    line_text: str = ""
    signal: str | None = None
    exit: int | None = 1
    cause: str | None = None
    program: str = ""  # folder of programs/, the name by default
    inputs: tuple[str, ...] = ()
    stdin: bytes | None = None
    env: tuple[tuple[str, str], ...] = ()
    options: tuple[str, ...] = ()  # of capture
    around: tuple[str, ...] = ()  # words before it, capture included: what the machine does to it
    bare: tuple[str, ...] = ()  # words before it when it is not captured: they do what `options` do
    needs: Callable[[], bool] = always  # whether this machine can play that one
    before: Callable[[Path], None] = nothing
    afterwards: Callable[[Path], None] = nothing
    # What a reproduction must say.
    verdict: Verdict = "same-failure"
    ways: tuple[Isolation, ...] = ("namespace", "redirect")
    why: str = ""  # why it does not come back in the other way
    chance: bool = False  # the message is chosen at random, or is a library's, so `message` does not say it
    repeat: int = 1  # times that it is captured and reproduced: more for what is random
    silent: bool = True  # two bare runs write the same, so that a captured one can be compared with them

    def argv(self, root: Path, python: str = sys.executable) -> list[str]:
        """The command for a program that was put at `root`."""
        return [word.replace("{python}", python).replace("{root}", str(root)) for word in self.command]

    def surrounded(self, command: list[str], python: str = sys.executable) -> list[str]:
        """A command as this case's machine runs it."""
        return [*(word.replace("{python}", python) for word in self.around), *command]

    @property
    def returncode(self) -> int:
        """What `subprocess` says of it: negative for a signal."""
        return self.exit if self.exit is not None else -signal.Signals[self.signal or ""]

    @property
    def signature(self) -> dict[str, object]:
        """The expected signature, without the line's number."""
        frame = {"file": self.file, "function": self.function, "line_text": self.line_text}
        kind = "signal" if self.signal else "exception" if self.type else "exit"
        return {
            "kind": kind,
            "type": self.type,
            "message": self.message,
            "cause": self.cause,
            "frame": frame if self.file else None,
            "signal": self.signal,
            "exit": self.exit if kind == "exit" else None,
        }


def prepare(case: Case, folder: Path) -> Path:
    """Put a case's program into a new folder below `folder`; returns that."""
    root = folder / "app"
    shutil.copytree(PROGRAMS / (case.program or case.name), root, ignore=shutil.ignore_patterns("__pycache__"))
    case.before(root)
    return root
