"""Plays a program that is data: `player.py FILE`, a JSON list of actions. What it sees is appended to the file `seen`.

It waits for what happens, never for time, so that two plays of one program do the same.
"""

from __future__ import annotations

import atexit
import json
import os
import resource
import select
import signal
import subprocess
import sys
import termios
import threading
from typing import Any

SEEN = os.open("seen", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
OURS = ("PYTHONPATH", "PYTHONHASHSEED", "DSENV_PROCESS", "TRANSPARENT_CASE")  # what capture and the test add


class Odd(SystemExit):
    """An exit with a code of its own."""


EXITS: dict[str, Any] = {
    "none": None, "true": True, "text": "said at the end", "minus": -1, "big": 256 + 7, "huge": 1 << 70,
    "float": 3.5, "pair": (1, 2), "bytes": b"\xff", "surrogate": "\udcff",
}  # fmt: skip


def note(*what: object) -> None:
    """Keep what was seen."""
    os.write(SEEN, (json.dumps(what) + "\n").encode())


def write(handle: int, size: int, line: str) -> None:
    """Write `size` bytes, whole lines or not."""
    data = (line.encode("utf-8", "surrogateescape") * (size // len(line) + 1))[:size]
    try:
        while data:
            data = data[os.write(handle, data) :]
    except OSError as error:
        note("write", handle, error.strerror)


def read(size: int | None) -> None:
    """Read so many bytes from stdin, or all."""
    found = b""
    try:
        while size is None or len(found) < size:
            data = os.read(0, 4096 if size is None else size - len(found))
            if not data:
                break
            found += data
    except OSError as error:
        note("read", error.strerror)
    note("read", len(found), found[-20:].hex())


def line() -> None:
    """Read a line from stdin, no byte more."""
    found = b""
    try:
        while not found.endswith(b"\n"):
            data = os.read(0, 1)
            if not data:
                break
            found += data
    except OSError as error:
        note("line", error.strerror)
    note("line", found.hex())


def gone(handle: int) -> None:
    """Wait until nobody reads what is written to a pipe."""
    poll = select.poll()
    poll.register(handle, 0)
    note("gone", bool(poll.poll(5000)))


def fork(actions: list[Any], leaves: bool) -> None:
    """A child that plays, and is waited for, or lives on after us when it has played."""
    ready, done = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(ready)
        try:
            play(actions)
            if leaves:
                os.close(done)
                signal.pause()
        finally:
            os._exit(9)
    os.close(done)
    os.read(ready, 1)
    os.close(ready)
    if not leaves:
        note("child", os.waitpid(pid, 0)[1])


def kill(name: str, group: bool) -> None:
    """A signal to ourselves, or to our group."""
    os.kill(0 if group else os.getpid(), int(name[2:]) if name.startswith("RT") else signal.Signals["SIG" + name])


def handle(name: str) -> None:
    signal.signal(signal.Signals[name], lambda number, _: note("signal", number))


def terminals() -> None:
    """What the streams are."""
    for number in (0, 1, 2):
        try:
            found: list[Any] = [os.isatty(number)]
            if found[0]:
                settings = termios.tcgetattr(number)
                # Line ends are made once, where our terminal stands before another one: see capture's `_copy_terminal`.
                found += [settings[0], settings[1] & ~termios.OPOST, settings[2], settings[3]]
                found += [tuple(os.get_terminal_size(number))]
        except OSError as error:
            found = [error.strerror]
        note("terminal", number, found)
    try:
        os.close(os.open("/dev/tty", os.O_RDWR))
        note("/dev/tty", True)
    except OSError as error:
        note("/dev/tty", error.strerror)


def quiet() -> None:
    """Set our terminal so that it does not show what is typed, and leave it so."""
    settings = termios.tcgetattr(0)
    settings[3] &= ~termios.ECHO
    termios.tcsetattr(0, termios.TCSANOW, settings)


def place() -> None:
    """What a program has from whoever started it."""
    with open("/proc/self/status", encoding="ascii") as file:
        masks = [row.split() for row in file if row.startswith(("SigBlk", "SigIgn"))]
    # Python ignores SIGPIPE and SIGXFSZ itself; the signals of the stacks are caught, not ignored.
    note("masks", masks)
    note("environment", {name: value for name, value in os.environ.items() if name not in OURS})
    note("limits", [resource.getrlimit(number) for number in range(16)])
    note("open", sorted(int(name) for name in os.listdir("/proc/self/fd") if is_given(int(name))))
    umask = os.umask(0)
    os.umask(umask)
    note("umask", umask, os.nice(0), sorted(os.sched_getaffinity(0)), os.path.basename(os.getcwd()))


def is_given(handle: int) -> bool:
    """Whether a descriptor is one that a program was started with."""
    try:
        return handle != SEEN and os.get_inheritable(handle)
    except OSError:
        return False


def thread(actions: list[Any]) -> None:
    """A thread that plays, and is waited for."""
    worker = threading.Thread(target=play, args=(actions,))
    worker.start()
    worker.join()


def hook(kind: str) -> None:
    """Another way to say what was not caught."""

    def said(*_: object) -> None:
        os.write(2, b"hook\n")
        if kind == "exits":
            os._exit(77)
        if kind == "raises":
            raise LookupError("in the hook")

    sys.excepthook = said


def leave(how: str) -> None:
    """End in one of many ways."""
    if how.startswith("_"):
        os._exit(int(how[1:]))
    if how == "fails":
        raise ValueError("not caught")
    if how == "chained":
        try:
            raise ValueError("first")
        except ValueError as error:
            raise Odd(5) from error
    if how == "interrupt":
        raise KeyboardInterrupt
    if how == "generator":
        raise GeneratorExit
    if how == "no arguments":
        raise SystemExit
    if how == "two arguments":
        raise SystemExit(1, 2)
    raise SystemExit(EXITS[how] if how in EXITS else int(how))


def run(words: list[str]) -> None:
    """Another program, waited for."""
    note("run", subprocess.run(words, check=False).returncode)


def become(words: list[str]) -> None:
    os.execvp(words[0], words)


def say(stream: str, text: str) -> None:
    """Through Python's own buffers."""
    file = getattr(sys, stream)
    if file is not None:
        file.write(text)


def keep(name: str, text: str) -> None:
    with open(name, "a", encoding="utf-8") as file:
        file.write(text)


def close(handle: int) -> None:
    try:
        os.close(handle)
    except OSError as error:
        note("close", handle, error.strerror)


def copy(handle: int, to: int) -> None:
    try:
        os.dup2(handle, to)
    except OSError as error:
        note("dup", handle, error.strerror)


ACTIONS: dict[str, Any] = {
    "write": write, "say": say, "read": read, "line": line, "gone": gone, "fork": fork, "kill": kill, "handle": handle,
    "ignore": lambda name: signal.signal(signal.Signals[name], signal.SIG_IGN), "copy": copy, "close": close,
    "default": lambda name: signal.signal(signal.Signals[name], signal.SIG_DFL), "terminals": terminals,
    "place": place, "quiet": quiet, "thread": thread, "hook": hook, "leave": leave, "run": run, "become": become,
    "keep": keep, "setsid": os.setsid, "setpgid": lambda: os.setpgid(0, 0), "umask": os.umask, "chdir": os.chdir,
    "atexit": lambda text: atexit.register(os.write, 1, text.encode()),
}  # fmt: skip


def play(actions: list[Any]) -> None:
    """One after the other."""
    for name, *words in actions:
        ACTIONS[name](*words)


if __name__ == "__main__":
    with open(sys.argv[1], encoding="ascii") as program:
        wanted = json.load(program)
    play(wanted)
