"""Plays a case bare and captured, and says in what the two differ."""

from __future__ import annotations

import fcntl
import json
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from contextlib import suppress
from itertools import zip_longest
from pathlib import Path
from typing import Any

from dsenv.runs import index
from dsenv.runs.record import Record
from dsenv.runs.store.folder import FolderStore
from tests.fuzz.programs import Case
from tests.measuring import unmeasured

HERE = Path(__file__).parent
REPOSITORY = str(HERE.parents[1])
SECONDS = 12.0
_MARK = "TRANSPARENT_CASE"
_THREAD = re.compile(rb"(Current thread|Thread) 0x[0-9a-f]+")  # as faulthandler names it


class Play:
    """One play of a case: what came out of it."""

    def __init__(self, case: Case, folder: Path, capture: list[str]) -> None:
        self.case, self.folder = case, folder
        self.came: dict[str, bytearray] = {}
        self.hung = False
        self._ours: list[int] = []
        self._readers: dict[int, str] = {}
        self._feed: tuple[int, bytes] | None = None
        self._terminal: int | None = None
        (folder / "work").mkdir(parents=True)
        (folder / "program").write_text(json.dumps(case.program))
        self._play(capture)

    def _play(self, capture: list[str]) -> None:
        streams = self._streams()
        words = [*capture, sys.executable, str(HERE / "player.py"), str(self.folder / "program")]
        case = self.case
        spec = {
            "argv": words, "streams": streams, "terminal": self._terminal, "report": str(self.folder / "report"),
            "foreground": case.has_terminal and case.foreground, "limits": dict(case.limits), "umask": case.umask,
            "ignored": case.ignored, "blocked": case.blocked,
        }  # fmt: skip
        (self.folder / "spec").write_text(json.dumps(spec))
        mark = self.folder.name + str(time.monotonic_ns())
        kept = {name: value for name, value in unmeasured().items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}
        env = kept | {"PYTHONPATH": REPOSITORY, "TERM": "xterm"} | dict(case.environ) | {_MARK: mark}
        if "PYTHONPATH" in dict(case.environ):
            env["PYTHONPATH"] = REPOSITORY + ":" + env["PYTHONPATH"]
        handles = [handle for handle in {*streams, self._terminal} if handle is not None]
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(HERE / "stage.py"), str(self.folder / "spec")],
            cwd=self.folder / "work", env=env, pass_fds=handles, start_new_session=True,
        )  # fmt: skip
        for handle in handles:
            os.close(handle)
        self._attend(process)
        self.left = self._end_what_is_left(mark)
        process.wait()
        for handle in self._ours:
            os.close(handle)
        report = self.folder / "report"
        self.report: dict[str, Any] = json.loads(report.read_text()) if report.exists() else {}

    def _streams(self) -> list[int | None]:
        case = self.case
        if case.has_terminal:
            master, self._terminal = os.openpty()
            fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 99, 0, 0))
            self._ours.append(master)
            self._readers[master] = "terminal"
            self.came["terminal"] = bytearray()
        found = [self._stdin(case.stdin)]
        found.append(self._output("stdout", case.stdout))
        found.append(found[1] if case.stderr == "stdout" else self._output("stderr", case.stderr))
        return [*found, self._output("extra", "pipe")] if case.extra else found

    def _stdin(self, kind: str) -> int | None:
        data = (b"0123456789abcde\n" * (self.case.typed // 16 + 1))[: self.case.typed]
        if kind == "closed":
            return None
        if kind == "terminal":
            return self._terminal
        if kind == "pipe":
            read, write = os.pipe()
            os.set_blocking(write, False)
            self._feed = (write, data)
            return read
        if kind == "null":
            return os.open(os.devnull, os.O_RDONLY)
        (self.folder / "stdin").write_bytes(data)
        return os.open(self.folder / "stdin", os.O_RDONLY)

    def _output(self, name: str, kind: str) -> int | None:
        if kind == "closed":
            return None
        if kind == "terminal":
            return self._terminal
        if kind == "full":
            return os.open("/dev/full", os.O_WRONLY)
        if kind in ("pipe", "short"):
            read, write = os.pipe()
            self._ours.append(read)
            self._readers[read] = name
            self.came[name] = bytearray()
            return write
        file = self.folder / name
        file.write_text("before\n")
        return os.open(file, os.O_WRONLY | (os.O_APPEND if kind == "append" else os.O_TRUNC))

    def _attend(self, process: subprocess.Popen[bytes]) -> None:
        """Read what comes and give what is wanted, until the command has ended."""
        deadline = time.monotonic() + SECONDS
        typed = self.case.stdin != "terminal"
        while True:
            ended = process.poll() is not None
            if self._feed is not None:
                self._give(*self._feed)
            typed = typed or self._type()
            if not self._read(ended=ended) and ended:
                break
            if time.monotonic() > deadline:
                self.hung = True
                process.kill()
                break
        if self._feed is not None:
            os.close(self._feed[0])

    def _read(self, *, ended: bool) -> bool:
        """Whether something came."""
        for handle in [handle for handle, name in self._readers.items() if self._is_enough(name)]:
            del self._readers[handle]
            os.close(handle)
            self._ours.remove(handle)
        ready = select.select([*self._readers], [], [], 0 if ended else 0.005)[0]
        for handle in ready:
            data = b""
            with suppress(OSError):
                data = os.read(handle, 1 << 16)
            self.came[self._readers[handle]] += data
            if not data:
                del self._readers[handle]
        return bool(ready)

    def _is_enough(self, name: str) -> bool:
        kind = {"stdout": self.case.stdout, "stderr": self.case.stderr}.get(name)
        return kind == "short" and len(self.came[name]) >= self.case.reader

    def _type(self) -> bool:
        """Type once the program is there: what is typed before is another test's."""
        if not (self.folder / "work" / "seen").exists():
            return False
        os.write(self._ours[0], b"typed\n" * min(self.case.typed, 1) + b"\x04" * 40)
        return True

    def _give(self, handle: int, data: bytes) -> None:
        try:
            while data:
                data = data[os.write(handle, data) :]
        except BlockingIOError:
            self._feed = (handle, data)
            return
        except BrokenPipeError:
            pass
        os.close(handle)
        self._feed = None

    def _end_what_is_left(self, mark: str) -> int:
        found = 0
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                with suppress(OSError):
                    if f"{_MARK}={mark}".encode() in (folder / "environ").read_bytes():
                        os.kill(int(folder.name), signal.SIGKILL)
                        found += 1
        return found

    def outcome(self) -> dict[str, Any]:
        """All that must be the same."""
        files = {
            str(file.relative_to(self.folder)): _THREAD.sub(b"Thread", file.read_bytes())
            + oct(file.stat().st_mode).encode()
            for file in sorted(self.folder.rglob("*"))
            if file.is_file() and file.name not in ("report", "spec", "program", "stdin")
        }
        seen = "work/seen"
        if "full" in (self.case.stdout, self.case.stderr) and seen in files:
            files[seen] = b"".join(row for row in files[seen].splitlines(keepends=True) if b"No space" not in row)
        came = {name: _THREAD.sub(b"Thread", bytes(data)) for name, data in self.came.items()}
        for name, kind in (("stdout", self.case.stdout), ("stderr", self.case.stderr)):
            if kind == "short":
                came[name] = came[name][: self.case.reader]
        return {"hung": self.hung, "left": self.left, "report": self.report, "files": files, "came": came}


def differences(case: Case, folder: Path) -> list[str]:
    """What is not the same when the case is captured; nothing, as it should be."""
    store = folder / "store"
    capture = [sys.executable, "-m", "dsenv.agent", "capture", "--store", str(store), "--"] * case.captures
    if case.first:
        capture = ["unshare", "--pid", "--fork", "--mount-proc", *capture]
    bare = Play(case, folder / "bare" / "x", [])
    captured = Play(case, folder / "captured" / "x", capture)
    expected, found = bare.outcome(), captured.outcome()
    status = expected["report"].get("status")
    if case.first and status is not None and os.WIFSIGNALED(status):
        expected["report"]["status"] = (128 + os.WTERMSIG(status)) << 8
    for outcome in (expected, found):
        status = outcome["report"].get("status")
        if status is not None:
            outcome["report"]["status"] = status & ~0x80  # whether a core file was written
    told = [line for name in expected for line in _unlike(name, expected[name], found[name])]
    return told + _of_record(case, store, expected)


def _of_record(case: Case, store: Path, expected: dict[str, Any]) -> list[str]:
    """What is wrong with the record of a play that should have come out so."""
    status = expected["report"].get("status")
    if status is None:
        return []
    runs = list(index.newest(FolderStore(store))) if store.exists() else []
    if len(runs) != case.captures:
        return [f"{len(runs)} records"]
    record = Record(FolderStore(store), runs[-1].id)
    code = os.waitstatus_to_exitcode(status)
    ended = record.data.get("exit") if record.data.get("exit") is not None else record.data.get("signal")
    told = []
    if ended != (code if code >= 0 else _name(-code)) and not case.first:
        told.append(f"the record ended by {ended}, not {code}")
    if record.data["trouble"] and "full" not in (case.stdout, case.stderr):
        told.append(f"trouble: {record.data['trouble']}")
    logged = {"stdout": b"", "stderr": b""}
    for chunk in record.output():
        logged[chunk.stream] += chunk.data
    logged = {name: _THREAD.sub(b"Thread", data) for name, data in logged.items()}
    for name, kind in (("stdout", case.stdout), ("stderr", case.stderr)):
        came = expected["came"].get(name, b"")
        if (kind == "pipe" and logged[name] != came) or (kind == "short" and not logged[name].startswith(came)):
            told += _unlike(f"log of {name}", came, logged[name])
    return told


def _name(number: int) -> str:
    named = {each.value: each.name for each in signal.Signals}
    return named.get(number, f"SIGRTMIN+{number - signal.SIGRTMIN}")


def _unlike(name: str, expected: object, found: object) -> list[str]:
    if expected == found:
        return []
    if isinstance(expected, dict) and isinstance(found, dict):
        names = sorted({*expected, *found})
        return [line for key in names for line in _unlike(f"{name} {key}", expected.get(key), found.get(key))]
    if isinstance(expected, bytes) and isinstance(found, bytes):
        lines = zip_longest(expected.splitlines(keepends=True), found.splitlines(keepends=True))
        expected, found = next(((one, other) for one, other in lines if one != other), (expected, found))
    return [f"{name}: {_short(expected)}\n      captured: {_short(found)}"]


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) < 1500 else text[:700] + " ... " + text[-700:]


def shrunk(case: Case, folder: Path) -> Case:
    """A smaller case that differs still."""
    count = 0

    def differs(candidate: Case) -> bool:
        nonlocal count
        count += 1
        return bool(differences(candidate, folder / str(count)))

    plain = Case([])
    again = True
    while again and count < 60:
        again = False
        other = [name for name in Case._fields[1:] if getattr(case, name) != getattr(plain, name)]
        candidates = [case._replace(**{name: getattr(plain, name)}) for name in other]
        program = case.program
        candidates += [case._replace(program=program[:n] + program[n + 1 :]) for n in range(len(program))]
        for candidate in candidates:
            if differs(candidate):
                case, again = candidate, True
                break
    return case
