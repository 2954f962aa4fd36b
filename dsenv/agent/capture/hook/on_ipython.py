"""Exceptions in the cells of a notebook: the kernel shows them and goes on, whoever runs the notebook gives up."""

import sys

from .tracebacks import strip_all

TYPE_CHECKING = False  # typing would be loaded into every program
if TYPE_CHECKING:
    from typing import Any

    from .program import Program


def watch(interactiveshell: "Any", program: "Program") -> None:
    """Note what a shell is about to show."""
    shell = interactiveshell.InteractiveShell
    for name in ("showtraceback", "showsyntaxerror"):
        setattr(shell, name, _noting(getattr(shell, name), program))


def _noting(real: "Any", program: "Program") -> "Any":
    def show(self: "Any", *args: "Any", **kwargs: "Any") -> "Any":
        error = sys.exc_info()[1]
        if error is not None:
            strip_all(error)
            program.failed(error, "notebook", cell=getattr(self, "execution_count", 0))
        return real(self, *args, **kwargs)

    show.__name__ = show.__qualname__ = real.__name__
    return show
