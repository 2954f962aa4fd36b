"""Starts the command with streams of the kind that it would have had without us."""

from __future__ import annotations

import contextlib
import errno
import os
import stat

from dsenv.agent.light import TYPE_CHECKING, NamedTuple, signal

if TYPE_CHECKING:
    from typing import Callable, Dict, List, Mapping, NoReturn, Optional, Set, Tuple

NOT_FOUND, NOT_EXECUTABLE = 127, 126


class CannotStart(Exception):  # noqa: N818 - it is the command's problem, not an error of ours
    """The command could not be started; `code` is what a shell would exit with."""

    def __init__(self, command: str, number: int) -> None:
        super().__init__("{}: {}".format(command, os.strerror(number)))
        self.code = NOT_FOUND if number in (errno.ENOENT, errno.ENOTDIR) else NOT_EXECUTABLE


class Source(NamedTuple):
    """What the command writes arrives at `handle` and goes on to `target`.

    In the log it is `stream` 1 or 2; 0 is left out. When its end is reached, `ends` are to be closed.
    """

    handle: int
    target: int
    stream: int
    terminal: bool
    ends: Tuple[int, ...] = ()


class Child(NamedTuple):
    """A started command. `stdin` is where its input is written to, when we stand before its standard input."""

    pid: int
    sources: List[Source]
    stdin: Optional[int]
    terminals: List[int]  # master sides whose window size follows ours
    held: List[int]  # their other sides: a command that closes its terminal before it ends is not hung up for that
    session: bool  # it has a session of its own, because its standard input is our terminal
    report: int  # what went wrong is read from there


class Ended(NamedTuple):
    """How the command ended: `code`, or `signal`."""

    code: int
    signal: Optional[int]


class _Plan:
    """Descriptors made for the command, and which of them it gets as 0, 1 and 2."""

    def __init__(self) -> None:
        self.child: Dict[int, int] = {}
        self.sources: List[Source] = []
        self.terminals: Dict[int, Tuple[int, int]] = {}  # device number to (master, slave)
        self.stdin: Optional[int] = None

    def terminal(self, handle: int, *, raw: bool) -> Tuple[int, int]:
        """The PTY that stands for the terminal that `handle` is.

        Line ends are made once: here, or, where ours is not `raw` while the command runs, there.
        """
        device = os.fstat(handle).st_rdev
        if device not in self.terminals:
            master, slave = os.openpty()
            _copy_terminal(handle, master, slave, line_ends=raw)
            self.terminals[device] = (master, slave)
        return self.terminals[device]

    def pipe(self) -> Tuple[int, int]:
        read, write = os.pipe()
        return read, write


def start(
    command: List[str],
    environ: Mapping[str, str],
    targets: Tuple[int, int],
    unblock: Set[int],
    prepare: Optional[Callable[[], None]] = None,
) -> Child:
    """Start `command`. `targets` are where its stdout and stderr go on to; `prepare` is called in its process first.

    Whether it could be started, `check` says. Raises OSError when the system has no process or descriptor left.
    """
    plan = _Plan()
    session = _plan_stdin(plan)
    _plan_output(plan, targets)
    if session and plan.stdin not in [source.handle for source in plan.sources]:
        plan.sources.append(Source(plan.stdin or 0, 0, 0, True))  # the echo of what is typed
    report_read, report_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        _become(command, environ, plan, report_write, unblock, session, prepare)
    os.close(report_write)
    _let_go()
    masters, held = ([pair[side] for pair in plan.terminals.values()] for side in (0, 1))
    for handle in {handle for handle in plan.child.values() if handle > 2 and handle not in held}:
        os.close(handle)
    return Child(pid, plan.sources, plan.stdin, masters, held, session, report_read)


def _let_go() -> None:
    """Close what our caller gave for the command: who reads the other end of it waits for the last one to close it."""
    with contextlib.suppress(OSError):
        for name in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):
                if int(name) > 2 and os.get_inheritable(int(name)):
                    os.close(int(name))


def check(child: Child, command: str) -> None:
    """Wait until the process has become the command. Raises CannotStart."""
    failure = os.read(child.report, 16)
    os.close(child.report)
    if failure:
        os.waitpid(child.pid, 0)
        raise CannotStart(command, int(failure))


def _plan_stdin(plan: _Plan) -> bool:
    """Returns whether the command gets a terminal, and with it a session, of its own."""
    info = _info(0)
    if info is None:
        return False
    if os.isatty(0) and _in_foreground():
        master, slave = plan.terminal(0, raw=True)
        plan.child[0], plan.stdin = slave, master
        return True
    if stat.S_ISFIFO(info.st_mode) or stat.S_ISSOCK(info.st_mode):
        read, write = plan.pipe()
        plan.child[0], plan.stdin = read, write
    return False


def _in_foreground() -> bool:
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False


def _plan_output(plan: _Plan, targets: Tuple[int, int]) -> None:
    first, second = (_info(target) for target in targets)
    shared = first is not None and second is not None and _same(first, second)
    for stream, target, info in ((1, targets[0], first), (2, targets[1], second)):
        if info is None:
            continue
        if stream == 2 and shared:
            plan.child[2] = plan.child[1]
            continue
        if os.isatty(target):
            master, slave = plan.terminal(target, raw=False)
            plan.child[stream] = slave
            if master not in [source.handle for source in plan.sources]:
                plan.sources.append(Source(master, target, stream, True))
            continue
        read, write = plan.pipe()
        plan.child[stream] = write
        plan.sources.append(Source(read, target, stream, False, tuple({*targets}) if shared else (target,)))


def _info(handle: int) -> Optional[os.stat_result]:
    try:
        return None if handle in _CLOSED_AT_START else os.fstat(handle)
    except OSError:
        return None


def _occupied() -> Set[int]:
    """The standard streams that are closed. Their numbers are taken, or files of ours would get them."""
    found = set()
    for handle in range(3):
        try:
            os.fstat(handle)
        except OSError:
            found.add(handle)
            with contextlib.suppress(OSError):
                os.open(os.devnull, os.O_RDWR)  # the lowest number that is free; the command does not inherit it
    return found


_CLOSED_AT_START = _occupied()


def _same(a: os.stat_result, b: os.stat_result) -> bool:
    return (a.st_dev, a.st_ino, a.st_rdev) == (b.st_dev, b.st_ino, b.st_rdev)


def _become(
    command: List[str],
    environ: Mapping[str, str],
    plan: _Plan,
    report: int,
    unblock: Set[int],
    session: bool,
    prepare: Optional[Callable[[], None]],
) -> None:
    """In the child: never returns."""
    number = errno.EIO
    try:
        if session:
            import fcntl
            import termios

            os.setsid()
            fcntl.ioctl(plan.child[0], termios.TIOCSCTTY, 0)
        # None is overwritten before it was copied.
        high = {stream: _above(handle) for stream, handle in plan.child.items()}
        for stream, handle in high.items():
            os.dup2(handle, stream)
        restore_signals()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, unblock)
        if prepare is not None:
            prepare()
        become(command, environ)
    except OSError as error:
        number = error.errno or errno.EIO
    finally:
        os.write(report, str(number).encode())
        os._exit(NOT_FOUND)


def become(command: List[str], environ: Mapping[str, str]) -> NoReturn:
    """Put `command` in the place of this process. Raises OSError.

    As with execvp(3), and so behind env, nice and timeout, a script that does not name its interpreter is sh's.
    """
    try:
        os.execvpe(command[0], command, dict(environ))  # noqa: S606 - an argv list, no shell
    except OSError as error:
        if error.errno != errno.ENOEXEC or not error.filename:
            raise
        os.execve("/bin/sh", ["/bin/sh", os.fsdecode(error.filename), *command[1:]], dict(environ))  # noqa: S606 - as above


def _above(handle: int) -> int:
    """The descriptor, or a copy whose number is no stream's: whoever has closed streams gets pipes of their numbers."""
    if handle > 2:
        return handle
    import fcntl

    return fcntl.fcntl(handle, fcntl.F_DUPFD_CLOEXEC, 10)


def restore_signals() -> None:
    """Python ignores or handles these; what it does is not what our caller chose, unless that ignored them."""
    for name in ("SIGPIPE", "SIGXFSZ", "SIGINT", "SIGCHLD"):
        number = getattr(signal, name)
        signal.signal(number, signal.SIG_IGN if number in _IGNORED_AT_START else signal.SIG_DFL)


def _ignored_at_start() -> Set[int]:
    """The signals that our caller ignores, which our Python has changed for itself since."""
    try:
        with open("/proc/self/status", encoding="utf-8", errors="replace") as file:
            mask = next((line.split()[1] for line in file if line.startswith("SigIgn:")), "0")
    except (OSError, IndexError):
        return set()
    ignored = {number for number in range(1, 65) if int(mask, 16) >> (number - 1) & 1}
    # Python itself ignores SIGPIPE and SIGXFSZ, so it cannot be told; nearly nobody else does.
    return ignored - {signal.SIGPIPE, signal.SIGXFSZ}


_IGNORED_AT_START = _ignored_at_start()


def _copy_terminal(source: int, master: int, slave: int, *, line_ends: bool) -> None:
    import termios

    with contextlib.suppress(termios.error):
        settings = termios.tcgetattr(source)
        if not line_ends:
            settings[1] &= ~termios.OPOST
        termios.tcsetattr(slave, termios.TCSANOW, settings)
    copy_size(source, master)


def copy_size(source: int, master: int) -> None:
    """Give a PTY the window size of a terminal."""
    import fcntl
    import termios

    with contextlib.suppress(OSError):
        size = fcntl.ioctl(source, termios.TIOCGWINSZ, b"\0" * 8)
        fcntl.ioctl(master, termios.TIOCSWINSZ, size)
