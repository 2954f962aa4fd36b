"""Which of the failures that processes told of ended the command, and the signatures of all."""

from __future__ import annotations

from dsenv.agent import signature
from dsenv.agent.capture.record import Told
from dsenv.agent.light import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import List, Optional, Sequence, Tuple

    from dsenv.agent.schema import ExceptionDetail, Failure, Frames, Signature

# A shell says so when what it ran died by a signal.
_SIGNALLED = 128
KILLED = _SIGNALLED + 9
# What the parent of a worker has instead of the worker's traceback.
_REMOTE = ("RemoteTraceback", "_RemoteTraceback")
# What those raise that ran the cells of a notebook.
_NOTEBOOKS = ("nbclient.exceptions.CellExecutionError", "papermill.exceptions.PapermillExecutionError")


class Ending(NamedTuple):
    """How the command ended: `exit`, or `signal` by name. `cause` is what is known of a signal's reason."""

    exit: Optional[int]
    signal: Optional[str]
    cause: Optional[str] = None


def judge(told: Told, ending: Ending, root: str) -> Tuple[Frames, Optional[Signature], List[Signature]]:
    """Which failure ended the command, its signature, and the signatures of the others. `root` is the project's."""
    failures = told.failures
    ending = _signalled(failures, ending)
    if ending.signal is not None:
        primary = _by_signal(failures, ending)
    else:
        primary = _deeper(failures, _by_exit(told, ending.exit))
    frames = signature.frames_of(failures, primary)
    found = signature.of(frames, ending.exit, ending.signal, root=root, cause=ending.cause)
    related: List[Signature] = []
    for index, failure in enumerate(failures):
        other = signature.of_failure(failure, root) if index != primary else None
        if other is not None and other not in related and not signature.same(other, found):
            related.append(other)
    return frames, found, related


def _signalled(failures: List[Failure], ending: Ending) -> Ending:
    """A shell in front of what died by a signal ends with 128 and its number: the signal is what says most."""
    if ending.signal is not None or ending.exit is None or ending.exit <= _SIGNALLED:
        return ending
    from signal import Signals

    try:
        name = Signals(ending.exit - _SIGNALLED).name
    except ValueError:
        return ending
    fatal = any(failure.get("how") == "fatal" and _type(failure) == name for failure in failures)
    killed = name == "SIGKILL" and ending.cause is not None
    return Ending(None, name, ending.cause) if fatal or killed else ending


def _by_signal(failures: List[Failure], ending: Ending) -> Optional[int]:
    """The failure that says where the process was that the signal ended."""
    hows = {"time-out": ("time-out",), "out-of-memory": ("memory",)}.get(ending.cause or "", ("fatal", "signal"))
    found = [
        index
        for index, failure in enumerate(failures)
        if (failure.get("how") in hows and (failure.get("how") != "fatal" or _type(failure) == ending.signal))
        or (ending.signal == "SIGINT" and failure.get("how") == "uncaught" and _type(failure) == "KeyboardInterrupt")
    ]
    return _last(failures, found)


def _by_exit(told: Told, code: Optional[int]) -> Optional[int]:
    failures = told.failures
    primary = None
    for later in (False, True):
        primary = signature.choose(failures, code, later)
        if primary is None or not _went_on(told, failures[primary]):
            break
    return primary


def _went_on(told: Told, failure: Failure) -> bool:
    """Whether another Python was started by the command after this one had failed."""
    when = failure.get("when", 0)
    return any(python.get("when", 0) > when and python.get("pid") != failure.get("pid") for python in told.pythons)


def _deeper(failures: List[Failure], primary: Optional[int]) -> Optional[int]:
    """Where an exception began that another process only raised again: in a worker, or in a notebook's cell."""
    if primary is None:
        return None
    shell = failures[primary]
    exceptions = shell.get("exceptions", [])
    found: List[int] = []
    if _type(shell) in _NOTEBOOKS:
        found = [index for index, failure in enumerate(failures) if failure.get("how") == "notebook"]
    elif any(error.get("type", "").rpartition(".")[2] in _REMOTE for error in exceptions[1:2]):
        found = [index for index, failure in enumerate(failures) if _is_worker_of(failure, shell, exceptions[0])]
    deeper = _last(failures, found)
    return primary if deeper is None else deeper


def _is_worker_of(failure: Failure, shell: Failure, error: ExceptionDetail) -> bool:
    """Whether this is the worker's side of `error`, which its parent raised again."""
    if failure.get("how") != "worker" or not failure.get("exceptions"):
        return False
    own = failure["exceptions"][0]
    return failure.get("when", 0) <= shell.get("when", 0) and (own.get("type"), own.get("message")) == (
        error.get("type"),
        error.get("message"),
    )


def _type(failure: Failure) -> str:
    exceptions: Sequence[ExceptionDetail] = failure.get("exceptions", [])
    return exceptions[0].get("type", "") if exceptions else ""


def _last(failures: List[Failure], among: List[int]) -> Optional[int]:
    return max(among, key=lambda index: failures[index].get("when", 0), default=None)
