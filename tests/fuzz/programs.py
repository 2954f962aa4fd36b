"""Draws small programs, and what surrounds them: each seed is one case."""

from __future__ import annotations

import random
from typing import Any, NamedTuple

Action = list[Any]

_SIGNALS = ["TERM", "INT", "HUP", "USR1", "USR2", "QUIT", "PIPE", "KILL", "ABRT", "SEGV", "ALRM", "RT40", "RT64"]
_HANDLED = ["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGQUIT", "SIGPIPE", "SIGALRM"]
_EXITS = [
    *("0", "1", "3", "120", "255", "none", "true", "text", "minus", "big", "huge", "float", "pair", "bytes"),
    *("surrogate", "_0", "_7", "_255", "fails", "chained", "interrupt", "generator", "no arguments", "two arguments"),
]
_OF_MAIN = ("handle", "ignore", "default", "hook", "kill")  # a signal meets any thread, SIGPIPE too
_LINES = ["line\n", "no end ", "\udcff\udc80 not text\n", "\u00e4\u20ac\n", "x" * 300 + "\n", "\0\1\n"]
_PLAIN = ["line\n", "no end "]  # what a terminal shows as it is


class Case(NamedTuple):
    """One program and its surroundings."""

    program: list[Action]
    stdin: str = "null"
    stdout: str = "pipe"
    stderr: str = "pipe"
    typed: int = 0  # bytes on stdin
    reader: int = 0  # bytes after which the reader of a short pipe leaves
    ignored: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()
    limits: tuple[tuple[str, int], ...] = ()
    environ: tuple[tuple[str, str], ...] = ()
    umask: int = 0o22
    foreground: bool = True
    captures: int = 1  # one in the other
    first: bool = False  # as PID 1
    extra: bool = False  # a pipe as a fourth descriptor

    @property
    def has_terminal(self) -> bool:
        return "terminal" in (self.stdin, self.stdout, self.stderr)


def draw(seed: int) -> Case:
    """The case of a seed."""
    chance = random.Random(seed)
    outputs = ["pipe", "pipe", "short", "file", "append", "terminal", "closed", "full"]
    stdout = chance.choice(outputs)
    stderr = chance.choice([*outputs, "stdout", "stdout", "stdout"])
    stdin = chance.choice(["closed", "null", "file", "pipe", "pipe", "terminal"])
    has_terminal = "terminal" in (stdin, stdout, stderr)
    foreground = not has_terminal or chance.random() < 0.8
    if not foreground and stdin == "terminal":
        stdin = "null"  # reading would stop the whole job, with capture as without
    case = Case(
        [], stdin, stdout, stderr,
        typed=chance.choice([0, 1, 100, 5000, 200_000]) if stdin != "terminal" else chance.choice([0, 40]),
        reader=chance.choice([0, 1, 500]),
        ignored=_some(chance, ["SIGHUP", "SIGINT", "SIGCHLD", "SIGUSR1", "SIGTERM"]),
        blocked=_some(chance, ["SIGHUP", "SIGINT", "SIGCHLD", "SIGUSR1", "SIGTERM", "SIGALRM", "SIGWINCH"]),
        limits=tuple(chance.sample([("NOFILE", 64), ("CORE", 0), ("FSIZE", 1 << 26), ("STACK", 4 << 20)], 1))
        if chance.random() < 0.2 else (),
        environ=tuple(chance.sample(_ENVIRON, 2)) if chance.random() < 0.3 else (),
        umask=chance.choice([0o22, 0o77, 0]), foreground=foreground, captures=2 if chance.random() < 0.1 else 1,
        first=chance.random() < 0.08, extra=chance.random() < 0.2,
    )  # fmt: skip
    if case.first:  # unshare(1) waits for its child, and so takes it that it is not ignored
        case = case._replace(ignored=tuple(name for name in case.ignored if name != "SIGCHLD"))
    return case._replace(program=_short_one(chance, case) if "full" in (stdout, stderr) else _program(chance, case))


def _short_one(chance: random.Random, case: Case) -> list[Action]:
    """On a full disk: a second write would meet a closed pipe, where it would have met the full disk."""
    full = 1 if case.stdout == "full" else 2
    return [*_begun(case), ["terminals"], ["write", full, 500, "lost\n"], ["leave", chance.choice(["_0", "_7"])]]


def _begun(case: Case) -> list[Action]:
    """What is typed is echoed before anything is written, and a reader has left before the command goes on."""
    actions: list[Action] = [["line"]] if case.stdin == "terminal" else []
    for number, kind in ((1, case.stdout), (2, case.stderr)):
        if kind == "short":
            actions += [["write", number, case.reader, "line\n"], ["gone", number]]
    return actions


_ENVIRON = [
    ("EMPTY", ""), ("ODD", "\udcff=\n"), ("LC_ALL", "C"), ("LANG", ""), ("PYTHONUNBUFFERED", "1"), ("TERM", "dumb"),
    ("PYTHONIOENCODING", "latin-1"), ("PYTHONPATH", "/nowhere:"), ("PYTHONHASHSEED", "3"), ("PYTHONSAFEPATH", "1"),
    ("PYTHONDEVMODE", "1"), ("PYTHONWARNINGS", "always"), ("PYTHONUTF8", "0"), ("COLUMNS", "33"),
    ("PYTHONFAULTHANDLER", "1"), ("PYTHONDONTWRITEBYTECODE", "1"), ("LC_CTYPE", "C"),
]  # fmt: skip


def _some(chance: random.Random, names: list[str]) -> tuple[str, ...]:
    return tuple(chance.sample(names, 2)) if chance.random() < 0.2 else ()


def _program(chance: random.Random, case: Case) -> list[Action]:
    actions = [*_begun(case), *(_action(chance, case, 0) for _ in range(chance.randrange(1, 9)))]
    if chance.random() < 0.4:
        # Where it fails and the program's own hook does too, the interpreter shows a frame of ours: see the how-to.
        other = _other(chance, case)
        actions.append(["become", other if other != ["no-such-program"] else ["true"]])
    elif chance.random() < 0.8:
        actions.append(["leave", chance.choice(_EXITS)])
    return actions


def _action(chance: random.Random, case: Case, depth: int) -> Action:
    kind = chance.choice([
        *("write", "write", "write", "write", "say", "say", "read", "line", "read", "close", "copy", "fork", "fork"),
        *("leave behind", "kill", "handle", "handle", "ignore", "default", "terminals", "place", "thread", "hook"),
        *("run", "keep", "umask", "atexit", "group"),
    ])  # fmt: skip
    if kind in ("write", "say"):
        return _words(chance, case, kind)
    if kind in ("fork", "leave behind", "thread", "group"):
        return _nested(chance, case, depth, kind)
    rest: dict[str, Action] = {
        "keep": ["kept", "text"], "umask": [0o27], "atexit": ["at the end\n"], "line": [], "terminals": [], "place": [],
        "kill": [chance.choice(_SIGNALS), False], "hook": [chance.choice(["plain", "exits", "raises"])],
        "run": [_other(chance, case)], "close": [chance.choice([0, 1, 2, 3] if case.extra else [0, 1, 2])],
        "copy": [*chance.choice([(1, 2), (2, 1), (1, 5)])], "read": [chance.choice([1, 100, 5000, None])],
    }  # fmt: skip
    if kind == "read" and case.stdin == "terminal":
        return ["quiet"]
    return [kind, *rest.get(kind, [chance.choice(_HANDLED)])]


def _words(chance: random.Random, case: Case, kind: str) -> Action:
    lines = _PLAIN if case.has_terminal else _LINES
    if kind == "say":
        return ["say", chance.choice(["stdout", "stderr"]), chance.choice(_PLAIN)]
    # A pipe of ours takes more before a reader's leaving is seen, so that what does not fit in one is another matter.
    sizes = [1, 7, 600] if case.has_terminal or "short" in (case.stdout, case.stderr) else [1, 7, 4096, 70_000, 300_000]
    return ["write", chance.choice([1, 1, 3 if case.extra else 2, 2]), chance.choice(sizes), chance.choice(lines)]


def _nested(chance: random.Random, case: Case, depth: int, kind: str) -> Action:
    if kind == "group":
        return ["kill", chance.choice(["TERM", "INT", "HUP", "USR1", "USR2"]), True] if not case.first else ["place"]
    if depth:
        return ["place"]
    actions = [_action(chance, case, 1) for _ in range(chance.randrange(1, 4))]
    if kind == "thread":
        return ["thread", [action for action in actions if action[0] not in _OF_MAIN and "short" not in case]]
    if kind == "leave behind" and not case.first and chance.random() < 0.3:
        # It has a session of its own, and closes its streams: or it would be waited for, and be hung up at a terminal.
        return ["fork", [["setsid"], ["close", 0], ["close", 1], ["close", 2]], True]
    before: list[Action] = chance.choice([[], [["setsid"]], [["setpgid"]]]) if not case.has_terminal else []
    return ["fork", [*before, *actions], False]


def _other(chance: random.Random, case: Case) -> list[str]:
    others = [
        ["sh", "-c", "echo out; echo err >&2; exit 4"], ["sh", "-c", "exec >&-; exit 5"], ["true"], ["false"],
        ["sh", "-c", "kill -TERM $$"], ["sh", "-c", "umask; pwd | tail -c 5; ulimit -n"], ["no-such-program"],
        ["python3", "-c", "import sys; print('py'); sys.exit('end')"], ["sh", "-c", "echo $0 \udcff | od -c"],
        ["sh", "-c", "trap 'echo end' EXIT; echo begin"], ["grep", "^Sig[BI]", "/proc/self/status"],
    ]  # fmt: skip
    if case.stdin != "terminal":
        others += [["cat"], ["head", "-c", "7"], ["head", "-n", "1"], ["wc", "-c"]]
    return chance.choice(others)
