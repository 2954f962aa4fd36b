"""Copied as the package _dsenv_hook, imported by sitecustomize.py at every start of a Python below a captured command.

It notes the Python, what it opens to read, and its failures. It runs in front of the user's program, so it imports
nothing that Python has not loaded already, and no error of its own gets out.
"""

import os
import sys
from time import time_ns

from . import children, draws, files
from .events import Events
from .imports import AfterImport, own
from .processes import Names
from .tracebacks import strip, strip_all

TYPE_CHECKING = False  # typing would be loaded into every program
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Optional

# For each module that a program may import, ours whose `watch(module, program)` follows its import. Ours is loaded
# only then, because each costs time at every start of a Python.
WATCHED = {
    "logging": "on_logging",
    "numpy": "on_blas",
    "numpy.random.bit_generator": "on_numpy",
    "random": "on_random",
    "sqlite3": "on_sqlite3",
    "threading": "on_threading",
    "torch.random": "on_torch",
    "traceback": "tracebacks",
}

_LOGGED = 50  # exceptions of one program that are described as they are logged
_SECOND = 1_000_000_000


class Program:
    """The program that this Python runs, as far as we follow it."""

    def __init__(self, folder: str, settings: "Dict[str, str]", recorded: str) -> None:
        self.settings = settings
        self.events = Events(folder + "/events")
        with open(folder + "/failure.py", "rb") as file:
            self._source = file.read()
        self.inputs: "Optional[files.Inputs]" = None
        self.names = Names(folder)
        self.draws = draws.watch(self.events, self.names, settings, recorded)
        self._describe: "Optional[Callable[..., Any]]" = None
        self._uncaught: "Optional[BaseException]" = None
        self._logged, self._looked = 0, 0
        self._last: "Optional[Dict[str, Any]]" = None

    def started(self) -> None:
        """Say which Python this is. The folder of our own is not on its path any more."""
        self.events.write({
            "e": "python", "pid": os.getpid(), "ppid": os.getppid(), "when": time_ns() // 1000,
            "executable": sys.executable, "version": "{}.{}.{}".format(*sys.version_info[:3]),
            "implementation": sys.implementation.name, "prefix": sys.prefix, "base_prefix": sys.base_prefix,
            "path": list(map(str, sys.path)),
        })  # fmt: skip

    def failed(self, error: "Optional[BaseException]", how: str, **facts: "Any") -> None:
        """Note a failure. Never raises."""
        if error is None or error is self._uncaught:
            return
        if how == "uncaught":
            self._uncaught = error
        try:
            self.events.write({"e": "failure", "failure": dict(self._description(error, False), how=how, **facts)})
        except Exception as problem:  # noqa: BLE001 - the program's own handling goes on
            self._give_up(problem)

    def _description(self, error: BaseException, brief: bool) -> "Dict[str, Any]":
        if self._describe is None:
            names: "Dict[str, Any]" = {"__name__": "_dsenv_failure"}
            exec(compile(self._source, "<dsenv>", "exec"), names)  # noqa: S102 - our own file
            self._describe = names["describe"]
        described: "Dict[str, Any]" = self._describe(error, self.settings["root"], brief=brief)
        return described

    def logged(self, error: BaseException) -> None:
        """Note an exception that was logged and is being handled.

        Programs may log millions. Of those after the first ones, one a second is looked at, without locals, and the
        last is written when the program ends: it is the last that may have ended it.
        """
        self._logged += 1
        if self._logged <= _LOGGED:
            self.failed(error, "logged")
            return
        now = time_ns()
        if now - self._looked > _SECOND:
            self._looked = now
            try:
                self._last = dict(self._description(error, True), how="logged")
            except Exception as problem:  # noqa: BLE001 - the program's own handling goes on
                self._give_up(problem)

    def ended(self) -> None:
        """The program ends: write what was kept back. Never raises."""
        # A program that has replaced sys.excepthook leaves its exception here all the same.
        error = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
        if isinstance(error, BaseException):
            self.failed(error, "uncaught")
        last, self._last = self._last, None
        if last is not None:
            try:
                self.events.write({"e": "failure", "failure": last})
            except Exception as problem:  # noqa: BLE001 - the program ends as it would
                self._give_up(problem)

    def _give_up(self, problem: Exception) -> None:
        try:
            self.events.write(
                {
                    "e": "trouble",
                    "pid": os.getpid(),
                    "text": "a failure could not be described: " + type(problem).__name__,
                }
            )
        except Exception:  # noqa: BLE001 - nobody is left to tell
            pass


def start(folder: str) -> None:
    """Begin. `folder` holds the files of this run; its name is the first entry of PYTHONPATH."""
    with open(folder + "/settings", encoding="utf-8", errors="surrogateescape") as file:
        settings = dict(line.split("\t", 1) for line in file.read().split("\n") if line)
    hidden = _hide(folder, settings)
    recorded = _replay(settings) if settings.get("replay") else ""
    program = Program(folder, settings, recorded)
    program.started()
    _watch_exceptions(program)
    program.inputs = files.watch(program.events, settings)
    children.watch(hidden, program.names)
    _watch_imports(program)


def _hide(folder: str, settings: "Dict[str, str]") -> "Dict[str, str]":
    """Give `os.environ` back the values that the caller set. The process keeps ours, so its children get them.

    Returns the variables that children must have.
    """
    ours = {"PYTHONPATH": folder}
    if settings.get("seed"):
        ours["PYTHONHASHSEED"] = settings["seed"]
    data: "Any" = getattr(os.environ, "_data", None)
    if data is None:
        return ours
    name = b"PYTHONPATH"
    value = os.fsdecode(data.get(name, b""))
    if value == folder:
        del data[name]
    elif value.startswith(folder + ":"):
        data[name] = os.fsencode(value[len(folder) + 1 :])
    if settings.get("seed") and data.get(b"PYTHONHASHSEED") == settings["seed"].encode():
        del data[b"PYTHONHASHSEED"]
    return ours


def _replay(settings: "Dict[str, str]") -> str:
    """Put the recorded run's files in their places; returns the file with what its generators drew."""
    import json

    sys.path.insert(0, settings["agent"])
    try:
        from dsenv.agent import replay

        with open(settings["replay"], encoding="utf-8") as file:
            config = json.load(file)
        replay.install(config)
        return str(config.get("random", ""))
    finally:
        sys.path.remove(settings["agent"])


def _watch_exceptions(program: Program) -> None:
    import atexit

    previous = sys.excepthook

    def excepthook(kind: "Any", error: "Any", traceback: "Any") -> None:
        strip_all(error)
        program.failed(error, "uncaught")
        previous(kind, error, strip(traceback))

    sys.excepthook = excepthook

    atexit.register(program.ended)
    real_exit = sys.exit

    class Exit:
        __name__ = __qualname__ = "exit"
        __doc__ = real_exit.__doc__
        __module__ = "sys"

        def __call__(self, status: "Any" = None, /) -> None:
            if status is not None and status != 0:
                code = status if isinstance(status, int) else 1
                program.failed(sys.exc_info()[1], "exit", code=code & 0xFF)
            raise SystemExit(status)

        def __repr__(self) -> str:
            return repr(real_exit)

        def __reduce__(self) -> str:
            return "exit"

    sys.exit = Exit()  # type: ignore[assignment]


def _watch_imports(program: Program) -> None:
    actions: "Dict[str, Callable[[Any], None]]" = {
        name: lambda module, ours=ours: own(ours).watch(module, program)  # type: ignore[misc]
        for name, ours in WATCHED.items()
    }
    for name in list(actions):
        if name in sys.modules:
            actions.pop(name)(sys.modules[name])
    sys.meta_path.insert(0, AfterImport(actions))
