"""How a program ends: exceptions that nobody caught, and exits, with the exception that led to them."""

import os
import sys
from time import time_ns

from .tracebacks import strip, strip_all

TYPE_CHECKING = False  # typing would be loaded into every program
if TYPE_CHECKING:
    from typing import Any, Optional

    from .program import Program

_LAST_UNNORMALISED = (3, 12)  # before it, sys.exit(n) raises a number that becomes an exception when somebody looks
# What ends worker processes, in the standard library's own code; their exceptions are seen where they are caught.
_WORKERS = ("/multiprocessing/popen_fork.py", "/multiprocessing/forkserver.py")


def watch(program: "Program") -> None:
    """Note every way in which the main thread ends the program with a code."""
    import atexit

    # Known to sys by both names, so that a program that asks whether the hook was replaced is answered as before.
    sys.excepthook = sys.__excepthook__ = _uncaught_hook(program, sys.excepthook)
    sys.unraisablehook = sys.__unraisablehook__ = _unraisable_hook(program, sys.unraisablehook)
    atexit.register(program.ended)
    os._exit = Replaced(os._exit, _before_exit(program))
    if sys.version_info < _LAST_UNNORMALISED:
        sys.exit = Replaced(sys.exit, _raise_exit)
    _watch_code(program)


class Replaced:
    """Stands for a function of the interpreter. `before` may end the call by raising."""

    def __init__(self, real: "Any", before: "Any") -> None:
        self.__wrapped__ = real
        self._before = before
        self.__name__ = self.__qualname__ = real.__name__
        self.__doc__ = real.__doc__
        self.__module__ = real.__module__
        self.__text_signature__ = getattr(real, "__text_signature__", None)

    def __call__(self, *args: "Any", **kwargs: "Any") -> "Any":
        self._before(*args, **kwargs)
        return self.__wrapped__(*args, **kwargs)

    def __repr__(self) -> str:
        return repr(self.__wrapped__)

    def __reduce__(self) -> str:
        return str(self.__name__)


def _uncaught_hook(program: "Program", previous: "Any") -> "Any":
    def before(kind: "Any" = None, error: "Any" = None, traceback: "Any" = None) -> None:
        if isinstance(error, BaseException):
            strip_all(error)
            program.failed(error, "uncaught")

    class Hook(Replaced):
        def __call__(self, *args: "Any") -> "Any":
            before(*args[:3])
            if len(args) == 3:
                args = (*args[:2], strip(args[2]))
            return self.__wrapped__(*args)

    return Hook(previous, before)


def _unraisable_hook(program: "Program", previous: "Any") -> "Any":
    def before(told: "Any" = None, *_more: "Any") -> None:
        error = getattr(told, "exc_value", None)
        if isinstance(error, BaseException):
            strip_all(error)
            program.failed(error, "unraisable")

    return Replaced(previous, before)


def _raise_exit(*args: "Any", **kwargs: "Any") -> None:
    if not kwargs and len(args) < 2:
        raise SystemExit(*args)


def _before_exit(program: "Program") -> "Any":
    def before(status: "Any" = None, *_more: "Any", **_kwargs: "Any") -> None:
        if not isinstance(status, int) or not status:
            return
        caller = sys._getframe(2)
        error = sys.exc_info()[1]
        if error is None and caller.f_code.co_filename.endswith(_WORKERS):
            return
        if error is None:
            program.left("os._exit", status, caller)
        else:
            strip_all(error)
            program.failed(error, "exit", code=status & 0xFF)
        program.ended()

    return before


def _watch_code(program: "Program") -> None:
    """See the SystemExit that ends the interpreter.

    Nothing is called for it: no hook, and it is gone when atexit's functions run. But the interpreter reads its
    `code`, with no Python code around, so we stand there. Built-in classes are read-only, their dictionaries are not.
    """
    gc = _gc()
    real = SystemExit.__dict__["code"]

    class Code:
        def __get__(self, error: "Any", owner: "Any" = None) -> "Any":
            if error is None:
                return real
            code = real.__get__(error, owner)
            if sys._getframe(0).f_back is None:
                _exits(program, error, code)
            return code

        def __set__(self, error: "Any", code: "Any") -> None:
            real.__set__(error, code)

        def __delete__(self, error: "Any") -> None:
            real.__delete__(error)

    for value in gc.get_referents(SystemExit.__dict__):
        if type(value) is dict and value.get("code") is real:
            value["code"] = Code()


def _gc() -> "Any":
    known = "gc" in sys.modules
    import gc

    if not known:
        del sys.modules["gc"]
    return gc


def _traceback(error: "Any") -> "Any":
    """Where the SystemExit was raised that ends the interpreter.

    Before Python 3.12 the exception does not know it: the interpreter has it beside. It is the youngest of all.
    """
    if sys.version_info >= _LAST_UNNORMALISED:
        return error.__traceback__
    found = [value for value in _gc().get_objects(generation=0) if type(value).__name__ == "traceback"]
    return found[-1] if found else error.__traceback__


def _exits(program: "Program", error: "Any", code: "Any") -> None:
    """The interpreter ends by `error`. What it was raised for counts, or else the place where it was raised."""
    if code is None or code == 0:
        return
    number = code & 0xFF if isinstance(code, int) else 1
    reason: "Optional[BaseException]" = error
    seen: "set[int]" = set()
    while isinstance(reason, SystemExit) and id(reason) not in seen:
        seen.add(id(reason))
        reason = reason.__cause__ or reason.__context__
    error.__traceback__ = _traceback(error)
    if reason is None or isinstance(reason, (SystemExit, GeneratorExit)):
        reason = error
    strip_all(error)
    program.failed(reason, "exit", outer=error.__traceback__, code=number, when=time_ns() // 1000)
