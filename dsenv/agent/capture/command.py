"""The verb: start the command first, keep its record beside it, end as it ended."""

from __future__ import annotations

import contextlib
import os
import sys
from time import monotonic, time_ns

from dsenv.agent import runid
from dsenv.agent.capture import spawn
from dsenv.agent.capture.options import USAGE, ArgumentsError, Options, Project, parse, project_of, seconds, store_of
from dsenv.agent.capture.spool import INPUT_CAP, INPUTS_CAP, Spool, request
from dsenv.agent.light import TYPE_CHECKING, signal

if TYPE_CHECKING:
    from typing import Any, Callable, Dict, List, Mapping, Optional, Set

    from dsenv.agent.capture.stdin import Stdin

OWN_FAILURE = 125
TIMED_OUT, KILLED = 124, 137  # as GNU timeout ends
KILL_AFTER = 10.0  # seconds

_NAMES = ("TERM", "INT", "HUP", "QUIT", "USR1", "USR2", "WINCH", "ALRM", "ABRT", "VTALRM", "PROF", "IO", "PWR")
# All that a command may be sent, but for what tells of an error in our own program or cannot be caught. The terminal's
# stop and our own limits are ours.
_FORWARDED = {
    *(getattr(signal, "SIG" + name) for name in _NAMES if hasattr(signal, "SIG" + name)),
    *(range(signal.SIGRTMIN, signal.SIGRTMAX + 1) if hasattr(signal, "SIGRTMIN") else ()),
}


def main(arguments: List[str], prepare: Optional[Callable[[], None]] = None) -> int:
    """Run a command and record it. Returns its exit code, 125 when the arguments make no sense.

    When the command died by a signal this process dies by the same one. `prepare` is called in the command's process
    before it becomes the command.
    """
    try:
        options = parse(arguments)
    except ArgumentsError as problem:
        _say("capture: {}\n{}".format(problem, USAGE))
        return OWN_FAILURE
    if not hasattr(os, "fork"):
        _say("capture: this system has no processes as POSIX has them; run it on Linux or macOS\n")
        return OWN_FAILURE
    try:
        run = Run(options, prepare)
    except Exception as problem:  # noqa: BLE001 - whatever is wrong with us, the command runs
        return _without_record(options.command, problem)
    ended = run.execute()
    if ended.signal is not None and os.getpid() != 1:
        _die_by(ended.signal)
    return ended.code if ended.signal is None else 128 + ended.signal


class Run:
    """One command from start to end."""

    def __init__(self, options: Options, prepare: Optional[Callable[[], None]] = None) -> None:
        self.options, self.prepare = options, prepare
        self.begun, self.started = monotonic(), time_ns() // 1000
        self.cwd, self.offset = _working_folder(), _offset()
        self.project: Project = project_of(options, self.cwd)
        self.run_id = options.run_id or runid.new()
        self.store = store_of(options, self.project, os.environ)
        self.spool: Optional[Spool] = None
        self.seed = ""
        self.trouble: List[str] = []

    def execute(self) -> spawn.Ended:
        """Start, watch, record."""
        environ = self._environment()
        watched = _FORWARDED | {signal.SIGCHLD}
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, watched)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # who ignores it is not told how a child ended
        # As JSON our stdout is one document, so the command's goes to where its stderr goes.
        targets = (2, 2) if self.options.as_json else (1, 2)
        cooked: Callable[[], None] = _nothing
        try:
            child = spawn.start(self.options.command, environ, targets, watched - blocked, self.prepare)
        except OSError as problem:  # the command itself needs no more processes or descriptors than there are
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
            if self.spool is not None:
                self.spool.remove()
            return spawn.Ended(_without_record(self.options.command, problem), None)
        try:
            cooked = _raw_terminal(child)
            _load()
            spawn.check(child, self.options.command[0])
        except (spawn.CannotStart, OSError) as problem:
            cooked()
            return self._not_started(problem)
        try:
            return self._watch(child, watched)
        finally:
            cooked()
            if self.spool is not None:
                self.spool.remove()

    def _environment(self) -> Dict[str, str]:
        """The command's environment: the caller's, with our folder in front of PYTHONPATH and a known hash seed."""
        environ = _as_given(os.environ)
        drawn = not environ.get("PYTHONHASHSEED") or environ["PYTHONHASHSEED"] == "random"
        self.seed = str(int.from_bytes(os.urandom(4), "big")) if drawn else environ["PYTHONHASHSEED"]
        if drawn:
            environ["PYTHONHASHSEED"] = self.seed
        try:
            self.spool = Spool.make(environ, self.store if os.path.isdir(self.store) else None)
            self.spool.fill(self._settings(drawn))
        except OSError as error:
            self.trouble.append("nothing is seen inside Python: {}".format(error))
            return environ
        environ["DSENV_PROCESS"] = "{} 0".format(os.getpid())
        path = environ.get("PYTHONPATH")
        environ["PYTHONPATH"] = self.spool.hook if path is None else self.spool.hook + ":" + path
        return environ

    def _settings(self, drawn: bool) -> Dict[str, str]:
        assert self.spool is not None
        asked = request()
        return {
            "copies": self.spool.copies,
            "root": self.project.root,
            "cap": str(INPUT_CAP),
            "total": str(INPUTS_CAP),
            "ignored": self.spool.folder,
            "seed": self.seed if drawn else "",
            "entropy": "1" if self.options.record_entropy else "",
            "replay": os.path.abspath(self.options.replay) if self.options.replay else "",
            "dump": str(asked.dump or ""),
            "look": str(asked.look or ""),
            "agent": __file__.rpartition(os.path.join("dsenv", "agent"))[0].rstrip(os.sep),
        }

    def _not_started(self, problem: Exception) -> spawn.Ended:
        from dsenv.agent.capture import stdin
        from dsenv.agent.capture.keeper import Keeper

        code = problem.code if isinstance(problem, spawn.CannotStart) else spawn.NOT_EXECUTABLE
        text = "capture: {}\n".format(problem)
        _say(text)
        keeper = self._keeper(Keeper, 0)
        keeper.output.add(2, text.encode("utf-8", "replace"))
        keeper.start()
        self._finish(keeper, spawn.Ended(code, None), stdin.of_file(self.offset), None)
        if self.spool is not None:
            self.spool.remove()
        return spawn.Ended(code, None)

    def _keeper(self, kind: Any, pid: int) -> Any:
        keeper = kind(self.options, self.project, self.store, self.run_id, self.spool)
        command = {"cwd": self.cwd, "started": self.started, "pid": pid, "hash_seed": self.seed}
        command.update(_times(self.options), umask=_umask())
        keeper.prepare(_as_given(os.environ), command)
        keeper.trouble += self.trouble
        return keeper

    def _watch(self, child: spawn.Child, watched: Set[int]) -> spawn.Ended:
        from dsenv.agent.capture import oom, stdin, waiting
        from dsenv.agent.capture.blackbox import Watch
        from dsenv.agent.capture.keeper import Keeper
        from dsenv.agent.capture.relay import InputRelay, OutputRelay

        oom.spare()
        keeper = self._keeper(Keeper, child.pid)
        output = OutputRelay(child.sources, child.held, keeper.output)
        source = None if child.stdin is None else InputRelay(child.stdin, terminal=child.session, cap=stdin.CAP)
        box = Watch(child.pid, self.spool, keeper.box.add, **_times(self.options))
        file = stdin.of_file(self.offset)
        to_group = self.options.group_signals
        try:
            for thread in (output, source, box if box.needed else None, keeper):
                if thread is not None:
                    thread.start()
        except RuntimeError as problem:  # there are no more threads; a record cannot be kept without
            _tell_syslog(self.run_id, "not recorded: {}".format(problem))
            sources = [] if output.is_alive() else child.sources
            ended = waiting.alone(child, watched, to_group, sources, source is not None and not source.is_alive())
            if output.is_alive():
                output.finish(waiting.LEFT_BEHIND)
            return ended
        ended, usage = waiting.wait(child, watched, to_group, box.before)
        try:
            keeper.seen = box.finish()
        except Exception as problem:  # noqa: BLE001 - the command's end is told as it was, whatever is wrong with us
            keeper.trouble.append("the black box was not read: {}: {}".format(type(problem).__name__, problem))
        keeper.trouble += box.trouble[:1]
        if keeper.seen.sent is not None:
            ended = spawn.Ended(TIMED_OUT if ended.signal != signal.SIGKILL else KILLED, None)
        output.finish(waiting.LEFT_BEHIND)
        keeper.trouble += output.trouble
        self._finish(keeper, ended, file if source is None else stdin.of_pipe(source), usage)
        return ended

    def _finish(self, keeper: Any, ended: spawn.Ended, stdin: Stdin, usage: Any) -> None:
        """Complete the record. Whatever is wrong with us, the command's end is told as it was."""
        try:
            finished = keeper.finish(self._values(ended, stdin[0], usage), stdin[1])
        except Exception as problem:  # noqa: BLE001 - see above
            _tell_syslog(self.run_id, "{}: {}".format(type(problem).__name__, problem))
            return
        if finished["record"] is None and finished["trouble"]:
            _tell_syslog(self.run_id, finished["trouble"][0])
        if self.options.as_json:
            _print_json(finished)

    def _values(self, ended: spawn.Ended, stdin: Dict[str, Any], usage: Any) -> Dict[str, Any]:
        resources: Dict[str, Any] = {"wall_seconds": round(monotonic() - self.begun, 6)}
        if usage is not None:
            scale = 1 if sys.platform == "darwin" else 1024
            times = {"user_seconds": usage.ru_utime, "system_seconds": usage.ru_stime}
            resources.update(times, max_rss=usage.ru_maxrss * scale)
        return {
            "status": "succeeded" if ended == spawn.Ended(0, None) else "failed",
            "exit": ended.code if ended.signal is None else None,
            "signal": _name(ended.signal),
            "ended": time_ns() // 1000,
            "stdin": stdin,
            "resources": resources,
        }


def _load() -> None:
    """Import what is needed later, while the command starts. What is wrong with it shows where it is used."""
    with contextlib.suppress(Exception):
        from dsenv.agent.capture import keeper, oom, relay, stdin, waiting  # noqa: F401 - kept in sys.modules


def _name(number: Optional[int]) -> Optional[str]:
    """A signal's name."""
    if number is None:
        return None
    from signal import Signals

    try:
        return Signals(number).name
    except ValueError:
        return "SIGRTMIN+{}".format(number - signal.SIGRTMIN) if number > signal.SIGRTMIN else "SIG{}".format(number)


def _times(options: Options) -> Dict[str, Optional[float]]:
    """How long the command may run, and how long it has from SIGTERM to SIGKILL then."""
    timeout = seconds(options.timeout, "timeout") or None
    grace = seconds(options.kill_after, "kill-after")
    return {"timeout": timeout, "kill_after": None if timeout is None else KILL_AFTER if grace is None else grace}


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


def _working_folder() -> str:
    """Where we are; the folder may have been deleted under us."""
    try:
        return os.getcwd()
    except OSError:
        return os.environ.get("PWD", "/")


def _without_record(command: List[str], problem: Exception) -> int:
    """Become the command."""
    _tell_syslog(command[0], "not recorded: {}: {}".format(type(problem).__name__, problem))
    try:
        spawn.restore_signals()
        spawn.become(command, _as_given(os.environ))
    except OSError as error:
        found = spawn.CannotStart(command[0], error.errno or 0)
        _say("capture: {}\n".format(found))
        return found.code


def _as_given(environ: Mapping[str, str]) -> Dict[str, str]:
    """The environment as our caller gave it: Python sets LC_CTYPE for itself in a C locale (PEP 538)."""
    found = dict(environ)
    if "LC_CTYPE" in found:
        with contextlib.suppress(OSError), open("/proc/self/environ", "rb") as file:
            if not any(item.startswith(b"LC_CTYPE=") for item in file.read().split(b"\0")):
                del found["LC_CTYPE"]
    return found


def _raw_terminal(child: spawn.Child) -> Callable[[], None]:
    """Let the command's PTY interpret keys, not our terminal. Returns what undoes it."""
    if not child.session:
        return _nothing
    import termios
    import tty

    from dsenv.agent.capture import relay

    before = termios.tcgetattr(0)
    with contextlib.suppress(OSError):  # the command has ended
        for data in relay.typed_ahead(0):
            relay.write_all(child.stdin or 0, data)
    tty.setraw(0, termios.TCSANOW)  # what is typed in this moment is kept too
    theirs = os.dup(child.stdin or 0)

    def undo() -> None:
        """What the command has set stays, as it would on our terminal."""
        after = before
        with contextlib.suppress(termios.error):
            after = termios.tcgetattr(theirs)
        with contextlib.suppress(termios.error):  # ours was hung up
            termios.tcsetattr(0, termios.TCSADRAIN, after)

    return undo


def _nothing() -> None:
    """Where there is nothing to be undone."""


def _offset() -> int:
    """Where the command begins to read its standard input, if that is a file."""
    try:
        return os.lseek(0, 0, os.SEEK_CUR)
    except OSError:
        return 0


def _say(text: str) -> None:
    """To stderr, which may be closed."""
    with contextlib.suppress(OSError):
        os.write(2, text.encode("utf-8", "surrogateescape"))


def _tell_syslog(name: str, text: str) -> None:
    """Where there is no record there is at least a line that says why."""
    with contextlib.suppress(Exception):  # no descriptor is left to load it
        import syslog

        syslog.syslog(syslog.LOG_WARNING, "dsenv capture {}: {}".format(name, text))


def _print_json(finished: Dict[str, Any]) -> None:
    import json

    names = ("id", "status", "exit", "signal", "started", "ended", "command", "project", "task", "kind", "signature")
    document = {name: finished.get(name) for name in (*names, "store", "record", "trouble")}
    with contextlib.suppress(OSError):
        os.write(1, (json.dumps(document, indent=2) + "\n").encode("ascii"))


def _die_by(number: int) -> None:
    """End as the command did, so that our parent sees the same. No second core file is written."""
    import resource
    import time

    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    if number not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    os.kill(os.getpid(), number)
    time.sleep(1)  # a signal that did not end us: the exit code says it
