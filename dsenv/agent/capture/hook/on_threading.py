"""Exceptions that end a thread."""

from .tracebacks import strip_all

TYPE_CHECKING = False  # typing would be loaded into every program
if TYPE_CHECKING:
    from typing import Any

    from .program import Program


def watch(threading: "Any", program: "Program") -> None:
    """Note what reaches the hook of threads."""
    real = threading.excepthook

    def excepthook(args: "Any", /) -> "Any":
        strip_all(args.exc_value)
        if not isinstance(args.exc_value, SystemExit):
            program.failed(args.exc_value, "thread", thread=getattr(args.thread, "name", ""))
        return real(args)

    threading.excepthook = excepthook
