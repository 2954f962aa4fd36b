"""rich's own tracebacks, which are made from the exception and not by the module `traceback`."""

from .tracebacks import strip_all

TYPE_CHECKING = False  # typing would be loaded into every program
if TYPE_CHECKING:
    from typing import Any

    from .program import Program


def watch(traceback: "Any", _program: "Program") -> None:
    """Let rich show no frames of ours."""
    real = traceback.Traceback.extract.__func__

    def extract(cls: "Any", exc_type: "Any", exc_value: "Any", *args: "Any", **kwargs: "Any") -> "Any":
        if isinstance(exc_value, BaseException):
            strip_all(exc_value)
        return real(cls, exc_type, exc_value, *args, **kwargs)

    traceback.Traceback.extract = classmethod(extract)
