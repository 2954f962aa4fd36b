"""Commands of dsenv as the sweep runs them."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[2]
_SECONDS = 150.0


@dataclasses.dataclass(frozen=True)
class Done:
    """A command that ended."""

    words: tuple[str, ...]
    code: int  # negative: the signal that ended it
    output: str
    errors: str

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL

    def json(self) -> Any:
        return json.loads(self.output)

    def __str__(self) -> str:
        return f"{' '.join(self.words)} -> {self.code}: {self.output[-300:]}{self.errors[-900:]}"


class Launcher:
    """The process in which commands are run. `with Launcher() as launcher:`"""

    def __enter__(self) -> Launcher:
        # What a test run measures or forbids is meant for the tests.
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("COVERAGE", "PYTHON"))}
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("launcher.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=kept | {"PYTHONPATH": str(_ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def run(
        self,
        words: tuple[str, ...],
        environ: dict[str, str],
        folder: Path,
        *,
        record: Path | None = None,
        kill: int = 0,
        armed: Callable[[int], None] | None = None,
    ) -> Done:
        """Run a command to its end. `armed` is called with its pid before it begins. Too long is killed, and -9 too."""
        files = [Path(environ["HOME"]).with_name(name) for name in ("output", "errors")]
        order = {
            "words": words,
            "environ": environ,
            "folder": str(folder),
            "output": str(files[0]),
            "errors": str(files[1]),
            "record": str(record or ""),
            "kill": kill,
        }
        pid = int(self._ask(json.dumps(order))["pid"])
        late = threading.Event()

        def end() -> None:
            late.set()
            os.kill(pid, signal.SIGKILL)

        timer = threading.Timer(_SECONDS, end)
        try:
            if armed:
                armed(pid)
            timer.start()
            code = int(self._ask("go")["code"])
        finally:
            timer.cancel()
        output, errors = (file.read_text(encoding="utf-8", errors="replace") for file in files)
        if late.is_set():
            return Done(words, -signal.SIGALRM, output, f"{errors}\nnot ended within {_SECONDS:.0f} s")
        return Done(words, code, output, errors)

    def _ask(self, line: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer
