"""The whole loop on this machine, with real parts: what a user would type, typed for them.

Each step is a command of the `dsenv` program in a scratch folder, so that what the demo shows is what there is.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dsenv.envs import install, lockfile
from dsenv.errors import StateError
from dsenv.events import Cancel, Emit, StepNote, ignore, step

TEMPLATE = "wine"

# The edit that the demo makes, as a user would in their editor.
BROKEN = "    return model.predict(batch)\n"
FIXED = """    known = batch["cultivar"].isin(expected)
    return pd.Series(model.predict(batch[known]), index=batch.index[known])
"""


@dataclasses.dataclass(frozen=True)
class DemoStep:
    """One command: what was typed, how long it took in seconds, and what came of it."""

    name: str
    command: str
    seconds: float
    note: str


@dataclasses.dataclass(frozen=True)
class Demo:
    """The loop, done. `done` is whether every step came out as it should."""

    done: bool
    seconds: float
    metric: float
    run: str
    verdict: str
    frame: str
    local: str
    fixed: str
    folder: str | None
    steps: list[DemoStep]


class DemoError(StateError):
    """A step did not come out as the demo expects."""


class _Loop:
    """The demo in progress."""

    def __init__(self, folder: Path, emit: Emit, cancel: Cancel) -> None:
        self.project = folder / TEMPLATE
        self.production = folder / "production"
        self.store = folder / "runs"
        self.steps: list[DemoStep] = []
        self._emit = emit
        self._cancel = cancel
        # Byte code is written, because the demo runs the same imports five times.
        self._env = {k: v for k, v in os.environ.items() if k not in {"PYTHONDONTWRITEBYTECODE", "PYTHONPATH"}}
        self._env |= {"DSENV_STORE": str(self.store)}

    def dsenv(
        self,
        name: str,
        *words: str,
        cwd: Path,
        expect: int = 0,
        note: Callable[[str], str] = lambda out: "",
    ) -> str:
        """One step: run `dsenv WORDS`; returns its stdout. Raises DemoError on another exit code."""
        self._cancel.check()
        typed = " ".join(("dsenv", *words))
        begun = time.monotonic()
        with step(self._emit, name, typed) as holder:
            out = self._run([sys.executable, "-m", "dsenv", *words], cwd, expect, typed)
            holder.note = note(out)
        self.steps.append(DemoStep(name, typed, round(time.monotonic() - begun, 3), holder.note))
        return out

    def own(self, name: str, title: str, work: Callable[[StepNote], None]) -> None:
        """A step that is not a command of ours: the outside world, or the user's editor."""
        begun = time.monotonic()
        with step(self._emit, name, title) as holder:
            work(holder)
        self.steps.append(DemoStep(name, title, round(time.monotonic() - begun, 3), holder.note))

    def python(self, *words: str, cwd: Path) -> str:
        """Run the environment's own Python, as an orchestrator would."""
        return self._run([self.interpreter(), *words], cwd, 0, "python " + " ".join(words))

    def interpreter(self) -> str:
        """The Python of the locked environment, which is on this machine since `up`."""
        lock = lockfile.read(self.project / "pylock.toml")
        return install.here(lock, emit=ignore, cancel=self._cancel).python

    def _run(self, argv: list[str], cwd: Path, expect: int, typed: str) -> str:
        done = subprocess.run(
            argv, check=False, cwd=cwd, env=self._env, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        if done.returncode != expect:
            raise DemoError(
                f"`{typed}` in {cwd} exited with {done.returncode}, not {expect}",
                detail=(done.stdout + done.stderr)[-4000:],
                hint="run `dsenv doctor`",
            )
        return done.stdout


def demo(*, keep: bool, emit: Emit, cancel: Cancel) -> Demo:
    """Do the whole loop; `keep` leaves the folder and the workstation. Raises DemoError, and what commands raise."""
    try:
        folder = Path(tempfile.mkdtemp(prefix="dsenv-demo-"))
    except OSError as error:
        raise StateError(f"cannot make a scratch folder: {error.strerror}", hint="free some space") from error
    loop = _Loop(folder, emit, cancel)
    begun = time.monotonic()
    try:
        found = _prototype(loop) | _production(loop) | _reproduction(loop)
        seconds = time.monotonic() - begun
    finally:
        if not keep:
            _clean(loop, folder)
    return Demo(
        done=found["verdict"] == "same-failure" and found["fixed"] == "passed",
        seconds=round(seconds, 3),
        folder=str(folder) if keep else None,
        steps=loop.steps,
        **found,
    )


def _prototype(loop: _Loop) -> dict[str, Any]:
    """init, lock, up, run: a model is trained on the workstation and comes back."""
    loop.project.mkdir()
    loop.dsenv("init", "init", "--template", TEMPLATE, cwd=loop.project)
    _use_this_python(loop.project / "dsenv.toml")
    loop.dsenv("lock", "lock", "--json", cwd=loop.project, note=lambda out: f"{json.loads(out)['packages']} packages")
    loop.dsenv("up", "up", "--json", cwd=loop.project, note=lambda out: f"ssh {json.loads(out)['alias']}")
    out = loop.dsenv("run", "run", "train", cwd=loop.project, note=lambda out: out.strip().splitlines()[-1])
    metric = re.search(r"r2: (-?[\d.]+)", out)
    if metric is None or not (loop.project / "outputs/model.joblib").is_file():
        raise DemoError("`dsenv run train` brought no model back", detail=out)
    return {"metric": float(metric.group(1))}


def _production(loop: _Loop) -> dict[str, Any]:
    """The same code and model elsewhere, fed with data that changed; the run fails and leaves a record."""

    def deploy(note: StepNote) -> None:
        shutil.copytree(loop.project, loop.production, ignore=shutil.ignore_patterns(".dsenv", ".git", "__pycache__"))
        loop.python("incoming.py", "batch.csv", cwd=loop.production)
        note.note = "a batch arrives with a cultivar that training never saw"

    loop.own("deploy", "production gets the code, the model and tonight's batch", deploy)
    python = loop.interpreter()
    words = ("capture", "--", python, "predict.py", "batch.csv")
    loop.dsenv("capture", *words, cwd=loop.production, expect=1, note=lambda out: "fails, and leaves a record")
    out = loop.dsenv("runs", "runs", "--failed", "--json", cwd=loop.project, note=_first_failure)
    runs = json.loads(out)["runs"]
    if not runs:
        raise DemoError("`dsenv runs --failed` lists nothing", detail=out)
    return {"run": runs[0]["id"]}


def _first_failure(out: str) -> str:
    runs = json.loads(out)["runs"]
    signature = runs[0]["signature"] if runs else None
    return f"{signature['type']}: {signature['message']}" if signature else "nothing"


def _reproduction(loop: _Loop) -> dict[str, Any]:
    """The failure at home, its cause, the fix, and the proof."""
    out = loop.dsenv("reproduce", "reproduce", "last-failed", "--json", cwd=loop.project, note=_verdict)
    result = json.loads(out)
    shown = json.loads(loop.dsenv("show", "show", "last-failed", "--json", cwd=loop.project, note=_explanation))
    frame, local = explanation(shown)
    loop.own("fix", "the fix: score only what the model knows", lambda note: _fix(loop.project / "predict.py"))
    words = ("reproduce", "last-failed", "--code", "working-tree", "--json")
    fixed = json.loads(loop.dsenv("fixed", *words, cwd=loop.project, expect=1, note=_verdict))
    return {"verdict": result["verdict"], "frame": frame, "local": local, "fixed": fixed["verdict"]}


def _verdict(out: str) -> str:
    return str(json.loads(out)["verdict"])


def explanation(shown: dict[str, Any]) -> tuple[str, str]:
    """The user's frame in which it failed, and the locals that tell why, from `dsenv show --json`."""
    failure = shown["failures"][shown["primary"]]
    frames = [frame for frame in failure["exceptions"][0]["frames"] if frame.get("user")]
    deepest = frames[-1]
    values = {local["name"]: local.get("preview", "") for local in deepest.get("locals", [])}
    place = f"{Path(deepest['file']).name}:{deepest['line']} in {deepest['function']}"
    return place, ", ".join(f"{name} = {values[name]}" for name in ("seen", "expected") if name in values)


def _explanation(out: str) -> str:
    return ": ".join(explanation(json.loads(out)))


def _use_this_python(file: Path) -> None:
    """The template names one Python; the demo takes the one that is here."""
    minor = f"{sys.version_info.major}.{sys.version_info.minor}"
    text = file.read_text(encoding="utf-8")
    file.write_text(re.sub(r'(?m)^python = ".*"$', f'python = "{minor}"', text), encoding="utf-8")


def _fix(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    if BROKEN not in text:
        raise DemoError(f"{file} is not the template's")
    file.write_text(text.replace(BROKEN, FIXED), encoding="utf-8")


def _clean(loop: _Loop, folder: Path) -> None:
    """Take the workstation down and delete the folder, whatever happened before."""
    if (loop.project / "dsenv.toml").is_file():
        argv = [sys.executable, "-m", "dsenv", "down", "--yes"]
        subprocess.run(argv, check=False, cwd=loop.project, stdin=subprocess.DEVNULL, capture_output=True)
    shutil.rmtree(folder, ignore_errors=True)
