"""Errors that click tells the user in its own words, before it ends the program with a code."""

from .tracebacks import strip_all

TYPE_CHECKING = False  # typing would be loaded into every program
if TYPE_CHECKING:
    from typing import Any

    from .program import Program


def watch(exceptions: "Any", program: "Program") -> None:
    """Note an error when it is shown."""
    for kind in (exceptions.ClickException, exceptions.UsageError):
        kind.show = _noting(kind.show, program)


def _noting(real: "Any", program: "Program") -> "Any":
    def show(self: "Any", *args: "Any", **kwargs: "Any") -> "Any":
        strip_all(self)
        program.failed(self, "logged")
        return real(self, *args, **kwargs)

    show.__name__ = show.__qualname__ = real.__name__
    return show
