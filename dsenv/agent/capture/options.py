"""The arguments of `capture`, and what a project's `dsenv.toml` adds to them."""

from __future__ import annotations

import os

from dsenv.agent import places
from dsenv.agent.light import TYPE_CHECKING, NamedTuple
from dsenv.agent.patterns import lazy

if TYPE_CHECKING:
    from typing import Dict, List, Mapping, Optional, Tuple

USAGE = (
    "usage: capture [--store S] [--run-id ID] [--kind production|development] [--project NAME] [--task NAME]\n"
    "               [--root DIR] [--lock FILE] [--replay FILE] [--json] [--input PATH]...\n"
    "               [--record-entropy] [--timeout TIME] [--kill-after TIME] -- CMD...\n"
)
_VALUES = ("store", "run-id", "kind", "project", "task", "root", "lock", "replay", "killed", "timeout", "kill-after")
_FLAGS = ("json", "group-signals", "record-entropy")
_RUN_ID = lazy(r"\d{8}T\d{6}-\d{6}-[a-z2-7]{4}")
_MARKERS = ("dsenv.toml", ".git", "pyproject.toml")


class ArgumentsError(Exception):
    """The arguments make no sense; nothing was started."""


class Options(NamedTuple):
    """What was asked for. Empty text is what was not given."""

    command: List[str]
    store: str = ""
    run_id: str = ""
    kind: str = "production"
    project: str = ""
    task: str = ""
    root: str = ""
    lock: str = ""
    replay: str = ""
    killed: str = ""  # a file that counts kills for want of memory as a control group does; for a replay
    as_json: bool = False
    inputs: Tuple[str, ...] = ()  # declared: kept although nobody is seen to read them
    record_entropy: bool = False
    timeout: str = ""
    kill_after: str = ""
    group_signals: bool = False  # given by dsenv's own supervisor, which signals the whole process group


def parse(arguments: List[str]) -> Options:
    """Read the arguments of `capture`. Raises ArgumentsError."""
    values = dict.fromkeys(_VALUES, "")
    flags = dict.fromkeys(_FLAGS, False)
    inputs: List[str] = []
    rest = list(arguments)
    while rest and rest[0].startswith("-") and rest[0] != "--":
        name, equals, value = rest.pop(0)[2:].partition("=")
        if name in flags and not equals:
            flags[name] = True
        elif name == "input" and (value or rest):
            inputs.append(value if equals else rest.pop(0))
        elif name in values and (equals or rest):
            values[name] = value if equals else rest.pop(0)
        elif name in values or name == "input":
            raise ArgumentsError("--{} needs a value".format(name))
        else:
            raise ArgumentsError("there is no option --{}".format(name))
    if rest and rest[0] == "--":
        rest.pop(0)
    if not rest:
        raise ArgumentsError("no command is given: write it after --")
    kind = values["kind"] or "production"
    _check(kind, values)
    for name in ("timeout", "kill-after"):
        seconds(values[name], name)
    texts = {name.replace("-", "_"): value for name, value in values.items() if name != "kind"}
    names = {name.replace("-", "_"): value for name, value in flags.items() if name != "json"}
    return Options(rest, kind=kind, as_json=flags["json"], inputs=tuple(inputs), **names, **texts)  # type: ignore[arg-type]


def _check(kind: str, values: Dict[str, str]) -> None:
    if kind not in ("production", "development"):
        raise ArgumentsError("--kind is production or development, not {}".format(kind))
    if values["run-id"] and not _RUN_ID.fullmatch(values["run-id"]):
        raise ArgumentsError("{} is not the id of a run".format(values["run-id"]))
    if values["store"] and "://" in values["store"] and not values["store"].startswith("s3://"):
        raise ArgumentsError("a store is a folder or s3://bucket/prefix, not {}".format(values["store"]))


def seconds(text: str, name: str) -> Optional[float]:
    """A time as GNU timeout takes it: a number, and s, m, h or d; None for nothing. Raises ArgumentsError."""
    if not text:
        return None
    import re

    found = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)([smhd]?)", text)
    if found is None:
        raise ArgumentsError("--{} is a number of seconds, or one with s, m, h or d, not {}".format(name, text))
    return float(found.group(1)) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[found.group(2)]


class Project(NamedTuple):
    """The folder whose code runs, and what its dsenv.toml says."""

    root: str
    name: Optional[str]
    store: Optional[str]
    marked: bool  # something says that it is a project; else it is just the script's folder


def project_of(options: Options, cwd: str) -> Project:
    """The project of a command: --root, else the nearest marked folder above the script or the working folder."""
    script = _script(options.command, cwd)
    start = os.path.dirname(script) if script else cwd
    root, marked = (os.path.realpath(options.root), True) if options.root else ("", False)
    for place in (start, cwd):
        if not root:
            root = _marked_above(place)
            marked = bool(root)
    root = root or start
    text = _read(os.path.join(root, "dsenv.toml"))
    name = options.project or _toml_value(text, "project", "name")
    store = _toml_value(text, "runs", "store")
    if store and "://" not in store:
        store = os.path.join(root, os.path.expanduser(store))
    return Project(root, name, store, marked)


def store_of(options: Options, project: Project, environ: Mapping[str, str]) -> str:
    """Where the record goes."""
    return options.store or environ.get("DSENV_STORE") or project.store or places.default_store(environ)


def _script(command: List[str], cwd: str) -> str:
    """The file that the command runs, when it is one of the user's; empty otherwise."""
    for word in command[:6]:
        path = os.path.join(cwd, word)
        if word.endswith((".py", ".sh", ".ipynb")) and os.path.isfile(path):
            return os.path.realpath(path)
    return ""


def _marked_above(folder: str) -> str:
    folder = os.path.realpath(folder)
    while True:
        if any(os.path.exists(os.path.join(folder, name)) for name in _MARKERS):
            return folder
        parent = os.path.dirname(folder)
        if parent == folder:
            return ""
        folder = parent


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(1 << 20)
    except OSError:
        return ""


def _toml_value(text: str, table: str, key: str) -> Optional[str]:
    """One string of a TOML file. Python has a parser since 3.11 only, and this must not fail on any file."""
    if key not in text:
        return None
    import re

    found = re.search(r"^\[" + table + r"\][^\n]*\n((?:(?!\[).*\n?)*)", text, re.MULTILINE)
    value = (
        re.search(r"^\s*" + key + r"\s*=\s*(?:\"([^\"]*)\"|'([^']*)')", found.group(1), re.MULTILINE) if found else None
    )
    return (value.group(1) or value.group(2) or None) if value else None
