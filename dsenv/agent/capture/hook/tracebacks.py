"""Our own frames taken out of tracebacks, so that a program prints what it always printed."""

TYPE_CHECKING = False  # typing would be loaded into every program
if TYPE_CHECKING:
    from typing import Any, Optional

_OWN = "<dsenv>"  # the name of code of ours that lies elsewhere
_HERE = (__file__ or "").rpartition("/")[0] + "/"


def strip(traceback: "Any") -> "Any":
    """A traceback without the frames of ours, so that a program prints what it always printed."""
    first = before = None
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        if file == _OWN or file.startswith(_HERE):
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


def watch(traceback: "Any", _program: "Any") -> None:
    """Let the module `traceback` show no frames of ours."""
    real = traceback.TracebackException.__init__

    def init(self: "Any", kind: "Any", error: "Any", tb: "Any", *args: "Any", **kwargs: "Any") -> None:
        strip_all(error)
        real(self, kind, error, strip(tb), *args, **kwargs)

    traceback.TracebackException.__init__ = init
