"""Copied as the package _dsenv_hook, imported by sitecustomize.py at every start of a Python below a captured command.

It notes the Python, what it opens to read, and its failures. It runs in front of the user's program, so it imports
nothing that Python has not loaded already, and no error of its own gets out.
"""

import os
import sys
from marshal import loads as _loads
from time import time_ns

from . import children, draws, ending, files, stacks
from .events import Events
from .imports import AfterImport, own
from .processes import Names

TYPE_CHECKING = False  # typing would be loaded into every program
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Optional

# For each module that a program may import, ours whose `watch(module, program)` follows its import. Ours is loaded
# only then, because each costs time at every start of a Python.
WATCHED = {
    "IPython.core.interactiveshell": "on_ipython",
    "aiobotocore.client": "on_aiobotocore",
    "botocore.client": "on_botocore",
    "click.exceptions": "on_click",
    "concurrent.futures.process": "on_workers",
    "joblib.externals.loky.process_executor": "on_workers",
    "logging": "on_logging",
    "loky.process_executor": "on_workers",
    "multiprocessing.pool": "on_workers",
    "multiprocessing.process": "on_workers",
    "cv2": "on_native",
    "fsspec.spec": "on_fsspec",
    "h5py._hl.files": "on_native",
    "numpy": "on_blas",
    "numpy.random.bit_generator": "on_numpy",
    "polars.io.csv.functions": "on_native",
    "polars.io.parquet.functions": "on_native",
    "pyarrow._csv": "on_native",
    "pyarrow._json": "on_native",
    "pyarrow.dataset": "on_native",
    "pyarrow.feather": "on_native",
    "pyarrow.lib": "on_native",
    "pyarrow.orc": "on_native",
    "pyarrow.parquet.core": "on_native",
    "random": "on_random",
    "rich.traceback": "on_rich",
    "sqlite3": "on_sqlite3",
    "tables.file": "on_native",
    "threading": "on_threading",
    "torch.random": "on_torch",
    "traceback": "tracebacks",
}

_LOGGED = 50  # exceptions of one program that are described as they are logged
_SECOND = 1_000_000_000
_RESERVE = 4 << 20  # bytes; given back when a program has no memory left to be described with
_HEADER = 16  # of a .pyc


class Program:
    """The program that this Python runs, as far as we follow it."""

    def __init__(self, folder: str, settings: "Dict[str, str]", recorded: "Dict[str, Any]") -> None:
        self.settings, self.recorded = settings, recorded
        self.events = Events(folder + "/events")
        self._source = _describer_source(folder)
        self._reserve: "Optional[bytes]" = bytes(_RESERVE)  # address space, not memory: nobody writes to it
        self.inputs: "Optional[files.Inputs]" = None
        self.names = Names(folder)
        self.draws = draws.watch(self.events, self.names, settings, recorded.get("random", ""))
        self._names: "Optional[Dict[str, Any]]" = None
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
            "argv": list(map(str, getattr(sys, "orig_argv", None) or [sys.executable, *getattr(sys, "argv", [])])),
        })  # fmt: skip

    def failed(self, error: "Optional[BaseException]", how: str, outer: "Any" = None, **facts: "Any") -> None:
        """Note a failure; `outer` is as for `describe`. Never raises."""
        if error is None or error is self._uncaught:
            return
        if how in ("uncaught", "exit", "notebook"):
            self._uncaught = error
        if isinstance(error, MemoryError):
            self._reserve = None
        try:
            self._write(dict(self._described(error, outer), how=how, **facts))
        except Exception as problem:  # noqa: BLE001 - the program's own handling goes on
            self.give_up("a failure could not be described", problem)
        except KeyboardInterrupt as problem:
            if error is not self._uncaught:
                raise  # it is the program's, which goes on
            self.give_up("a failure could not be described", problem)  # a second ^C ends nothing that has not ended
        if self.inputs is not None and error is self._uncaught and not isinstance(error, MemoryError):
            try:
                own("held").note(self.inputs)
            except Exception:  # noqa: BLE001 - a program that has no descriptor left cannot be looked into
                pass
        if self.recorded.get("stop") is not None:
            self.recorded["stop"](error, how, self.describer()["local"])  # a debugger, and somebody who asked for it

    def left(self, by: str, code: int, frame: "Any") -> None:
        """Note that the program ended by a call that is no failure by itself: `frame` made it. Never raises."""
        try:
            self._write(dict(self.describer()["place"](by, frame, self.settings["root"]), how="exit", code=code & 0xFF))
        except Exception as problem:  # noqa: BLE001 - the program ends as it would
            self.give_up("an exit could not be described", problem)

    def _described(self, error: BaseException, outer: "Any") -> "Dict[str, Any]":
        root = self.settings["root"]
        try:
            found: "Dict[str, Any]" = self.describer()["describe"](error, root, outer=outer)
        except MemoryError:
            self._reserve = None
            found = self.describer()["describe"](error, root, brief=True)
        return found

    def _write(self, failure: "Dict[str, Any]") -> None:
        self.events.write({"e": "failure", "failure": failure})

    def describer(self) -> "Dict[str, Any]":
        """The names of failure.py, which is run when it is needed."""
        if self._names is None:
            names: "Dict[str, Any]" = {"__name__": "_dsenv_failure"}
            source = self._source
            code = compile(source, "<dsenv>", "exec") if isinstance(source, str) else _loads(source)  # noqa: S302 - it is ours
            exec(code, names)  # noqa: S102 - our own file
            self._names = names
        return self._names

    def logged(self, error: BaseException, how: str) -> None:
        """Note an exception that was logged and is being handled.

        Programs may log millions. Of those after the first ones, one a second is looked at, without locals, and the
        last is written when the program ends: it is the last that may have ended it.
        """
        self._logged += 1
        if self._logged <= _LOGGED:
            self.failed(error, how)
            return
        now = time_ns()
        if now - self._looked > _SECOND:
            self._looked = now
            try:
                self._last = dict(self.describer()["describe"](error, self.settings["root"], brief=True), how=how)
            except Exception as problem:  # noqa: BLE001 - the program's own handling goes on
                self.give_up("a failure could not be described", problem)

    def ended(self) -> None:
        """The program ends: write what was kept back. Never raises."""
        # A program that has replaced sys.excepthook leaves its exception here all the same.
        error = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
        if isinstance(error, BaseException):
            self.failed(error, "uncaught")
        last, self._last = self._last, None
        if last is not None:
            try:
                self._write(last)
            except Exception as problem:  # noqa: BLE001 - the program ends as it would
                self.give_up("a failure could not be described", problem)

    def give_up(self, what: str, problem: BaseException) -> None:
        """Say what could not be done. Never raises."""
        text = "{}: {}".format(what, type(problem).__name__)
        try:
            self.events.write({"e": "trouble", "pid": os.getpid(), "text": text})
        except Exception:  # noqa: BLE001 - nobody is left to tell
            pass


def _describer_source(folder: str) -> "Any":
    """Byte code of failure.py if there is any for this Python, else its text. Read while files can be opened."""
    cached = "{}/__pycache__/failure.{}.pyc".format(folder, sys.implementation.cache_tag)
    try:
        with open(cached, "rb") as file:
            return file.read()[_HEADER:]
    except OSError:
        with open(folder + "/failure.py", encoding="utf-8") as text:
            return text.read()


def start(folder: str) -> None:
    """Begin. `folder` holds the files of this run; its name is the first entry of PYTHONPATH."""
    with open(folder + "/settings", encoding="utf-8", errors="surrogateescape") as file:
        settings = dict(line.split("\t", 1) for line in file.read().split("\n") if line)
    hidden = _hide(folder, settings)
    recorded = _replay(settings) if settings.get("replay") else {}
    program = Program(folder, settings, recorded)
    program.started()
    ending.watch(program)
    _watch_stacks(program, folder)
    program.inputs = files.watch(program.events, settings)
    children.watch(hidden, program.names, program.inputs)
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


def _replay(settings: "Dict[str, str]") -> "Dict[str, Any]":
    """Put the recorded run's files in their places; returns what its generators drew and its services said."""
    import json

    sys.path.insert(0, settings["agent"])
    try:
        from dsenv.agent import replay

        with open(settings["replay"], encoding="utf-8") as file:
            config = json.load(file)
        found: "Dict[str, Any]" = replay.install(config)
        settings["threads"] = str(config.get("threads") or "")
        return found
    finally:
        sys.path.remove(settings["agent"])


def _watch_stacks(program: Program, folder: str) -> None:
    try:
        stacks.watch(program, folder)
    except (ImportError, OSError, ValueError, AttributeError) as problem:
        program.give_up("stacks cannot be seen", problem)


def _watch_imports(program: Program) -> None:
    actions: "Dict[str, Callable[[Any], None]]" = {
        name: lambda module, ours=ours: own(ours).watch(module, program)  # type: ignore[misc]
        for name, ours in WATCHED.items()
    }
    for name in list(actions):
        if name in sys.modules:
            actions.pop(name)(sys.modules[name])
    sys.meta_path.insert(0, AfterImport(actions))
