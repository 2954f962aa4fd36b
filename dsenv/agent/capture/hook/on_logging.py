"""Exceptions that are logged: a program that ends with a code afterwards often said here why."""

from .tracebacks import strip_all

TYPE_CHECKING = False  # typing would be loaded into every program
if TYPE_CHECKING:
    from typing import Any

    from .program import Program


def watch(logging: "Any", program: "Program") -> None:
    """Note the exception of each log record that has one."""
    real = logging.Logger.handle

    def handle(self: "Any", record: "Any") -> "Any":
        info = record.exc_info
        if isinstance(info, tuple) and isinstance(info[1], BaseException):
            strip_all(info[1])
            program.logged(info[1], "task" if record.name == "asyncio" else "logged")
        return real(self, record)

    logging.Logger.handle = handle
