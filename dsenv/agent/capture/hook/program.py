"""Copied as _dsenv_hook.py, imported by sitecustomize.py at every start of a Python below a captured command.

It notes the Python, what it opens to read, and its failures, as one JSON line each in the file `events`. It runs in
front of the user's program, so it imports nothing that Python has not loaded already, and no error of its own gets out.
"""

from __future__ import annotations

import os
import sys
from time import time_ns
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any, Callable, Dict, List, Optional, Tuple

try:
    from _json import encode_basestring_ascii as _quote
except ImportError:  # an interpreter without the accelerator
    from json.encoder import py_encode_basestring_ascii as _quote

_REGULAR = 0o100000
_KIND = 0o170000
_HIGH = 1000

_open, _close, _write, _fstat, _stat, _unlink = os.open, os.close, os.write, os.fstat, os.stat, os.unlink


def to_json(value: "Any") -> str:
    """JSON of plain values. The json module would load `re` into every program."""
    if value is None or value is True or value is False:
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return str(_quote(value))
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, float):
        return float.__repr__(value) if value - value == 0 else str(_quote(repr(value)))
    if isinstance(value, dict):
        return "{" + ",".join(_quote(str(key)) + ":" + to_json(item) for key, item in value.items()) + "}"
    return "[" + ",".join(map(to_json, value)) + "]"


class Events:
    """The file that all processes of a run append their lines to.

    It is opened when Python starts, because a program that ran out of file descriptors is one that we want to hear
    of, and moved to a high number, so that the program's own files get the numbers they always got.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._handle, self._identity = -1, (0, 0)
        self._reopen()

    def _reopen(self) -> None:
        low = _open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        try:
            high = min(_HIGH, os.sysconf("SC_OPEN_MAX") - 1)
            self._handle = low if high <= low or _is_open(high) else os.dup2(low, high, inheritable=False)
        except (OSError, ValueError):
            self._handle = low
        if self._handle != low:
            _close(low)
        info = _fstat(self._handle)
        self._identity = (info.st_dev, info.st_ino)

    def write(self, value: "Dict[str, Any]") -> None:
        """Append one line. A program may have closed our file, and the number may now be its own file's."""
        line = (to_json(value) + "\n").encode("ascii")
        try:
            info = _fstat(self._handle)
            ours = (info.st_dev, info.st_ino) == self._identity
        except OSError:
            ours = False
        if not ours:
            self._reopen()
        _write(self._handle, line)


def _is_open(number: int) -> bool:
    try:
        _fstat(number)
    except OSError:
        return False
    return True


class Inputs:
    """Notes the files that are opened to be read, and copies them before they are."""

    def __init__(self, events: Events, settings: "Dict[str, str]") -> None:
        self._events = events
        self._folder = settings["copies"]
        self._root = settings["root"].rstrip("/") + "/"
        self._cap, self._left = int(settings["cap"]), int(settings["total"])
        self._ignored = self._system_folders(settings)
        self._seen: "Dict[str, Optional[Tuple[int, int, int]]]" = {}
        self._written: "set[str]" = set()
        self._number = 0

    def _system_folders(self, settings: "Dict[str, str]") -> "Tuple[str, ...]":
        folders = ["/proc", "/sys", "/dev", "/usr", "/lib", "/lib64", "/bin", "/sbin", "/etc", "/run"]
        folders += [os.path.dirname(os.__file__), *settings["ignored"].split("\0")]
        folders += [entry for entry in sys.path if entry.endswith(("-packages", "lib-dynload"))]
        for prefix in {sys.prefix, sys.base_prefix, sys.exec_prefix}:
            folders += [prefix + "/" + name for name in ("bin", "include", "lib", "lib64", "share", "etc", "ssl")]
        return tuple(folder + "/" for folder in folders if folder)

    def opened(self, file: "Any", reads: bool, creates: bool, how: str) -> None:
        """A file is about to be opened. Never raises."""
        try:
            if isinstance(file, int):
                return
            path = os.path.abspath(os.fsdecode(os.fspath(file)))
            if path.startswith(self._ignored) or path in self._written:
                return
            if path.endswith((".py", ".pyc")) and path.startswith(self._root):
                return
            if reads:
                self._read(path, how)
            if creates:
                self._written.add(path)
                self._events.write({"e": "written", "path": path, "when": time_ns() // 1000, "pid": os.getpid()})
        except Exception:  # noqa: BLE001 - the program's own call goes on, whatever it was given
            return

    def _read(self, path: str, how: str) -> None:
        try:
            info = _stat(path)
        except OSError:
            if path not in self._seen:
                self._seen[path] = None
                self._note(path, how, {"missing": True})
            return
        if info.st_mode & _KIND != _REGULAR:
            return
        state = (info.st_mtime_ns, info.st_size, info.st_ino)
        if self._seen.get(path) == state:
            return
        self._seen[path] = state
        facts: "Dict[str, Any]" = {"size": info.st_size, "mode": info.st_mode & 0o777, "mtime_ns": info.st_mtime_ns}
        if info.st_size > self._cap:
            facts["note"] = "larger than the cap"
        elif info.st_size > self._left:
            facts["note"] = "the inputs together are larger than the cap"
        else:
            self._left -= info.st_size
            facts.update(self._copy(path))
        self._note(path, how, facts)

    def _note(self, path: str, how: str, facts: "Dict[str, Any]") -> None:
        facts.update({"e": "input", "path": path, "how": how, "when": time_ns() // 1000, "pid": os.getpid()})
        self._events.write(facts)

    def _copy(self, path: str) -> "Dict[str, str]":
        self._number += 1
        name = "{}-{}".format(os.getpid(), self._number)
        target = self._folder + "/" + name
        try:
            source = _open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            return {"note": "cannot be read: {}".format(error.strerror)}
        try:
            copy = _open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                _transfer(source, copy)
            finally:
                _close(copy)
        except OSError as error:
            try:
                _unlink(target)
            except OSError:
                pass
            return {"note": "could not be copied: {}".format(error.strerror)}
        finally:
            _close(source)
        return {"copy": name}


def _transfer(source: int, target: int) -> None:
    """Copy in the kernel where it can, sharing blocks where the file system does."""
    if hasattr(os, "copy_file_range"):
        try:
            while os.copy_file_range(source, target, 1 << 24):
                pass
            return
        except OSError:
            os.lseek(source, 0, os.SEEK_SET)
            os.ftruncate(target, 0)
            os.lseek(target, 0, os.SEEK_SET)
    while True:
        data = os.read(source, 1 << 20)
        if not data:
            return
        while data:
            data = data[_write(target, data) :]


class Opener:
    """Stands for `open` or `os.open`. Not a function, so that it does not become a method as a class's attribute."""

    def __init__(self, real: "Callable[..., Any]", before: "Callable[..., None]", module: str) -> None:
        self.__wrapped__ = real
        self._before = before
        self.__name__ = self.__qualname__ = real.__name__
        self.__doc__ = real.__doc__
        self.__module__ = module
        self.__text_signature__ = getattr(real, "__text_signature__", None)

    def __call__(self, *args: "Any", **kwargs: "Any") -> "Any":
        try:
            self._before(*args, **kwargs)
        except TypeError:
            pass  # arguments that the real one refuses, in its own words
        return self.__wrapped__(*args, **kwargs)

    def __repr__(self) -> str:
        return repr(self.__wrapped__)

    def __reduce__(self) -> str:
        return self.__name__


def strip(traceback: "Any") -> "Any":
    """A traceback without the frames of this file, so that a program prints what it always printed."""
    file = strip.__code__.co_filename
    first = before = None
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == file:
            if before is not None:
                before.tb_next = traceback.tb_next
        else:
            first = first or traceback
            before = traceback
        traceback = traceback.tb_next
    return first


def strip_all(error: "Optional[BaseException]") -> None:
    """The same for an exception and those that led to it."""
    seen: "set[int]" = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        error.__traceback__ = strip(error.__traceback__)
        if error.__cause__ is not None:
            strip_all(error.__cause__)
        error = error.__context__


class Program:
    """The program that this Python runs, as far as we follow it."""

    def __init__(self, folder: str, settings: "Dict[str, str]") -> None:
        self.settings = settings
        self.events = Events(folder + "/events")
        with open(folder + "/failure.py", "rb") as file:
            self._source = file.read()
        self._describe: "Optional[Callable[..., Any]]" = None
        self._noted: "set[int]" = set()
        self._logged = 0

    def started(self) -> None:
        """Say which Python this is. The folder of our own is not on its path any more."""
        self.events.write({
            "e": "python", "pid": os.getpid(), "ppid": os.getppid(), "when": time_ns() // 1000,
            "executable": sys.executable, "version": "{}.{}.{}".format(*sys.version_info[:3]),
            "implementation": sys.implementation.name, "prefix": sys.prefix, "base_prefix": sys.base_prefix,
            "path": [entry for entry in sys.path if isinstance(entry, str)],
        })  # fmt: skip

    def failed(self, error: "Optional[BaseException]", how: str, **facts: "Any") -> None:
        """Note a failure, once for each exception. Never raises."""
        if error is None or (id(error) in self._noted and how != "exit"):
            return
        try:
            self._noted.add(id(error))
            if self._describe is None:
                names: "Dict[str, Any]" = {"__name__": "_dsenv_failure"}
                exec(compile(self._source, "<dsenv>", "exec"), names)  # noqa: S102 - our own file
                self._describe = names["describe"]
            failure = self._describe(error, self.settings["root"], brief=self._logged > 20)
            self.events.write({"e": "failure", "failure": dict(failure, how=how, **facts)})
        except Exception as problem:  # noqa: BLE001 - the program's own handling goes on
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
        except Exception:  # noqa: BLE001, S110 - nobody is left to tell
            pass

    def logged(self, error: "Optional[BaseException]") -> None:
        self._logged += 1
        self.failed(error, "logged")


def start(folder: str) -> None:
    """Begin. `folder` holds the files of this run; its name is the first entry of PYTHONPATH."""
    with open(folder + "/settings", encoding="utf-8", errors="surrogateescape") as file:
        settings = dict(line.split("\t", 1) for line in file.read().split("\n") if line)
    hidden = _hide(folder, settings)
    if settings.get("replay"):
        _replay(settings)
    program = Program(folder, settings)
    program.started()
    _watch_exceptions(program)
    _watch_files(program)
    _watch_children(hidden)
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


def _replay(settings: "Dict[str, str]") -> None:
    import json

    sys.path.insert(0, settings["agent"])
    try:
        from dsenv.agent import replay

        with open(settings["replay"], encoding="utf-8") as file:
            replay.install(json.load(file))
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

    def at_exit() -> None:
        # A program that has replaced sys.excepthook leaves its exception here all the same.
        error = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
        if isinstance(error, BaseException):
            program.failed(error, "uncaught")

    atexit.register(at_exit)
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


def _watch_files(program: Program) -> None:
    import builtins
    import io

    inputs = Inputs(program.events, program.settings)
    program.inputs = inputs  # type: ignore[attr-defined]

    def before_open(file: "Any" = None, mode: "Any" = "r", *_args: "Any", **_kwargs: "Any") -> None:
        if isinstance(mode, str):
            new = "w" in mode or "x" in mode
            inputs.opened(file, not new, new or "a" in mode or "+" in mode, "open")

    def before_os_open(path: "Any" = None, flags: "Any" = 0, *_args: "Any", **kwargs: "Any") -> None:
        if isinstance(flags, int) and kwargs.get("dir_fd") is None and not flags & getattr(os, "O_DIRECTORY", 0):
            writes = bool(flags & (os.O_WRONLY | os.O_RDWR))
            new = writes and bool(flags & (os.O_TRUNC | os.O_EXCL))
            inputs.opened(path, not new and not flags & os.O_WRONLY, writes, "os.open")

    builtins.open = io.open = Opener(io.open, before_open, "io")  # type: ignore[assignment]
    os.open = Opener(os.open, before_os_open, "os")  # type: ignore[assignment]


def _watch_children(ours: "Dict[str, str]") -> None:
    """Give our variables to children that are started with an environment made from `os.environ`."""
    import _posixsubprocess

    def with_ours(env: "Any") -> "Dict[Any, Any]":
        found = {os.fsencode(name): os.fsencode(value) for name, value in dict(env).items()}
        path = found.get(b"PYTHONPATH")
        folder = os.fsencode(ours["PYTHONPATH"])
        if path is None or (path != folder and not path.startswith(folder + b":")):
            found[b"PYTHONPATH"] = folder if path is None else folder + b":" + path
        if "PYTHONHASHSEED" in ours:
            found.setdefault(b"PYTHONHASHSEED", ours["PYTHONHASHSEED"].encode())
        return found

    fork_exec = _posixsubprocess.fork_exec

    def fork_exec_with(*args: "Any") -> "Any":
        # args[5] is the environment as a list of b"name=value", or None for that of the process, which has ours.
        if len(args) > 5 and isinstance(args[5], list):
            pairs = with_ours(item.split(b"=", 1) for item in args[5] if b"=" in item)
            args = (*args[:5], [name + b"=" + value for name, value in pairs.items()], *args[6:])
        return fork_exec(*args)

    _posixsubprocess.fork_exec = fork_exec_with
    for name in ("execve", "posix_spawn", "posix_spawnp"):
        real = getattr(os, name, None)
        if real is not None:
            setattr(os, name, _Spawner(real, with_ours))


class _Spawner:
    def __init__(self, real: "Callable[..., Any]", with_ours: "Callable[[Any], Any]") -> None:
        self.__wrapped__ = real
        self._with_ours = with_ours
        self.__name__ = self.__qualname__ = real.__name__
        self.__doc__ = real.__doc__

    def __call__(self, path: "Any", argv: "Any", env: "Any", *args: "Any", **kwargs: "Any") -> "Any":
        try:
            changed = self._with_ours(env)
        except (TypeError, ValueError):
            changed = env  # the real one says what is wrong with it
        return self.__wrapped__(path, argv, changed, *args, **kwargs)


class _AfterImport:
    """A finder that lets an action follow the import of a few modules. It finds nothing by itself."""

    def __init__(self, actions: "Dict[str, Callable[[Any], None]]") -> None:
        self._actions = actions

    def find_spec(self, name: str, path: "Any" = None, target: "Any" = None) -> "Any":
        action = self._actions.pop(name, None)
        if action is None:
            return None
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            spec = find(name, path, target) if find is not None and finder is not self else None
            if spec is not None:
                if spec.loader is not None:
                    _follow(spec.loader, action)
                return spec
        return None


def _follow(loader: "Any", action: "Callable[[Any], None]") -> None:
    real = loader.exec_module

    def exec_module(module: "Any") -> None:
        real(module)
        try:
            del loader.exec_module
            action(module)
        except Exception:  # noqa: BLE001, S110 - the module is loaded; what we add to it is not the program's concern
            pass

    loader.exec_module = exec_module


def _watch_imports(program: Program) -> None:
    actions: "Dict[str, Callable[[Any], None]]" = {
        "logging": lambda module: _watch_logging(module, program),
        "threading": lambda module: _watch_threads(module, program),
        "traceback": _watch_traceback,
        "sqlite3": lambda module: _watch_sqlite(module, program),
    }
    for name in list(actions):
        if name in sys.modules:
            actions.pop(name)(sys.modules[name])
    sys.meta_path.insert(0, _AfterImport(actions))  # type: ignore[arg-type]


def _watch_logging(logging: "Any", program: Program) -> None:
    real = logging.Logger.handle

    def handle(self: "Any", record: "Any") -> "Any":
        info = record.exc_info
        if isinstance(info, tuple) and isinstance(info[1], BaseException):
            strip_all(info[1])
            program.logged(info[1])
        return real(self, record)

    logging.Logger.handle = handle


def _watch_threads(threading: "Any", program: Program) -> None:
    real = threading.excepthook

    def excepthook(args: "Any", /) -> "Any":
        strip_all(args.exc_value)
        if not isinstance(args.exc_value, SystemExit):
            program.failed(args.exc_value, "thread", thread=getattr(args.thread, "name", ""))
        return real(args)

    threading.excepthook = excepthook


def _watch_traceback(traceback: "Any") -> None:
    real = traceback.TracebackException.__init__

    def init(self: "Any", kind: "Any", error: "Any", tb: "Any", *args: "Any", **kwargs: "Any") -> None:
        strip_all(error)
        real(self, kind, error, strip(tb), *args, **kwargs)

    traceback.TracebackException.__init__ = init


def _watch_sqlite(sqlite3: "Any", program: Program) -> None:
    def before(database: "Any" = None, *_args: "Any", **kwargs: "Any") -> None:
        try:
            name = os.fsdecode(os.fspath(database))
        except TypeError:
            return
        if kwargs.get("uri") and name.startswith("file:"):
            name = name[5:].partition("?")[0]
        if name and not name.startswith(":"):
            inputs = program.inputs  # type: ignore[attr-defined]
            inputs.opened(name, True, False, "sqlite")
            if os.path.exists(name + "-wal"):
                inputs.opened(name + "-wal", True, False, "sqlite")

    opener = Opener(sqlite3.connect, before, "sqlite3")
    sqlite3.connect = sqlite3.dbapi2.connect = opener
