"""Exceptions in workers: they end no process, they travel to the parent as text, and their locals stay here."""

from .tracebacks import strip_all

TYPE_CHECKING = False  # typing would be loaded into every program
if TYPE_CHECKING:
    from typing import Any

    from .program import Program

# What multiprocessing's pool, concurrent.futures and loky wrap an exception in before they send it.
_WRAPPERS = ("ExceptionWithTraceback", "_ExceptionWithTraceback")


def watch(module: "Any", program: "Program") -> None:
    """Note an exception when it is wrapped to be sent, or when it ends a `Process`."""
    for name in _WRAPPERS:
        wrapper = getattr(module, name, None)
        if isinstance(wrapper, type) and wrapper.__module__ == module.__name__:
            _watch_wrapper(wrapper, program)
    process = getattr(module, "BaseProcess", None)
    if process is not None:
        _watch_process(process, program)


def _watch_wrapper(wrapper: "Any", program: "Program") -> None:
    real = wrapper.__init__

    def init(self: "Any", exc: "Any", *args: "Any", **kwargs: "Any") -> None:
        if isinstance(exc, BaseException):
            strip_all(exc)
            program.failed(exc, "worker")
        real(self, exc, *args, **kwargs)

    wrapper.__init__ = init


def _watch_process(process: "Any", program: "Program") -> None:
    real = process._bootstrap

    def bootstrap(self: "Any", *args: "Any", **kwargs: "Any") -> "Any":
        run = self.run

        def observed() -> None:
            try:
                run()
            except SystemExit as exit_:
                if exit_.code and exit_.__context__ is not None:
                    _note(program, exit_.__context__)
                raise
            except BaseException as error:
                _note(program, error)
                raise

        self.run = observed
        return real(self, *args, **kwargs)

    process._bootstrap = bootstrap


def _note(program: "Program", error: BaseException) -> None:
    strip_all(error)
    program.failed(error, "worker")
