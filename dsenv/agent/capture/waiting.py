"""Waits for the command, and passes on to it what signals come."""

from __future__ import annotations

import os
from contextlib import suppress
from time import monotonic

from dsenv.agent.capture import relay, spawn
from dsenv.agent.light import TYPE_CHECKING, signal

if TYPE_CHECKING:
    from typing import Any, Callable, List, Optional, Set, Tuple

_FROM_KERNEL = 0x80
LEFT_BEHIND = 1.0  # seconds that what is left behind by the command may write
_STEP = 0.01  # seconds
_BLOCK = 1 << 16
_TAKEN = 4096  # bytes that a pipe takes at once when it is said to be writable


def wait(
    child: spawn.Child, watched: Set[int], to_group: bool, before: Callable[[int], None]
) -> Tuple[spawn.Ended, Any]:
    """Pass signals on until the command has ended. Other children are reaped too: we may be PID 1.

    `to_group`: whoever signals us signals our whole group, so that the command has had each signal already. `before`
    is told of each signal first.
    """
    while True:
        ended = _handle(child, _next_signal(watched), to_group, before)
        if ended is not None:
            return ended


def alone(
    child: spawn.Child, watched: Set[int], to_group: bool, sources: List[spawn.Source], stdin: bool
) -> spawn.Ended:
    """The same where no thread can be started: bytes are passed on here too, and nothing is kept of them."""
    targets = {source.handle: source for source in sources}
    ended: Optional[spawn.Ended] = None
    last = float("inf")
    while True:
        taken = stdin and child.stdin is not None and relay.writable(child.stdin)
        ready = relay.readable([*targets, *([0] if taken else [])], _STEP if ended is None else 0)
        for handle in ready:
            if handle == 0:
                stdin = _passed(0, child.stdin or 0, _TAKEN)
                if not stdin:
                    relay.let_go(child.stdin or 0)
            elif not _passed(handle, targets[handle].target, _BLOCK):
                for number in (handle, *targets.pop(handle).ends):
                    relay.let_go(number)
        if ended is not None and (not ready or monotonic() > last):
            return ended
        came = ended is None and signal.sigpending() & watched
        told = _handle(child, _next_signal(watched), to_group, _nobody) if came else None
        if told is not None:
            ended, stdin, last = told[0], False, monotonic() + LEFT_BEHIND


def _passed(handle: int, target: int, size: int) -> bool:
    """Whether there may be more."""
    try:
        data = os.read(handle, size)
        relay.write_all(target, data)
    except OSError:
        return False
    return bool(data)


def _nobody(_number: int) -> None:
    """Nobody is told of signals."""


def _handle(
    child: spawn.Child, told: Tuple[int, bool, int], to_group: bool, before: Callable[[int], None]
) -> Optional[Tuple[spawn.Ended, Any]]:
    """One signal. Returns how the command ended, when it has."""
    number, from_kernel, sender = told
    if number == signal.SIGCHLD:
        return _reap(child.pid)
    if _is_below(child.pid, sender):
        return None  # it signals its group, and has had it
    before(number)
    if number == getattr(signal, "SIGWINCH", None):
        for master in child.terminals:
            spawn.copy_size(2 if os.isatty(2) else 0, master)
        if not child.session:
            _send(child.pid, number)
    elif child.session or number == signal.SIGALRM or not (from_kernel or to_group):
        # What the terminal sends goes to the whole group, the command included. An alarm was set before we began.
        _send(child.pid, number)
    return None


def _next_signal(watched: Set[int]) -> Tuple[int, bool, int]:
    """The signal, whether the kernel sent it, and else which process did; 0 when it is not known."""
    if hasattr(signal, "sigwaitinfo"):
        return _told(signal.sigwaitinfo(watched))
    return signal.sigwait(watched), False, 0


def _told(info: Any) -> Tuple[int, bool, int]:
    from_kernel = info.si_code == _FROM_KERNEL
    return info.si_signo, from_kernel, 0 if from_kernel else info.si_pid


def _is_below(command: int, pid: int) -> bool:
    """Whether a process is the command, or below it. Of one that is gone nobody can tell."""
    while pid > 1 and pid != command:
        try:
            with open("/proc/{}/stat".format(pid), "rb") as file:
                pid = int(file.read().rpartition(b")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            return False
    return pid == command


def _send(pid: int, number: int) -> None:
    with suppress(OSError):
        os.kill(pid, number)


def _reap(wanted: int) -> Optional[Tuple[spawn.Ended, Any]]:
    result = None
    while True:
        try:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return result
        if pid == 0:
            return result
        if pid == wanted:
            result = (spawn.Ended(os.WEXITSTATUS(status), None), usage)
            if os.WIFSIGNALED(status):
                result = (spawn.Ended(0, os.WTERMSIG(status)), usage)
