"""The text of a test: plain pytest and the standard library, with nothing in it that this failure does not need."""

from __future__ import annotations

import inspect
import posixpath
import re
import shlex
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from dsenv.agent.replay import redirect
from dsenv.workflows.reproduce import listings
from dsenv.workflows.reproduce.plan import is_below
from dsenv.workflows.testfile.model import Draft

OURS = "Saved by dsenv from run "
PROJECT, OUTSIDE, STDIN, REDIRECT = "project", "outside", "stdin", "redirect"  # in the data folder
_WIDTH = 100
_COPY = '''

def unwanted(folder: str, names: list[str]) -> set[str]:
    """What is no code of the project: version control, environments, caches, files over 8 MB."""
    found = {name for name in names if name in NOT_COPIED or name.endswith(".pyc")}
    for path in (Path(folder, name) for name in names):
        if (path / "pyvenv.cfg").exists() or (path.is_file() and path.stat().st_size > 8 << 20):
            found.add(path.name)
    return found

'''
_NOT_COPIED = (
    '*(".git", ".hg", ".svn", ".venv", "venv", "node_modules", "__pycache__", ".tox", ".nox", ".dsenv"),',
    '*(".mypy_cache", ".pytest_cache", ".ruff_cache"),',
)
_CHAIN = '''

def _install() -> None:
    """Begin, then let the environment's own sitecustomize follow, if there is one."""
    import json
    import sys

    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, "paths.json"), encoding="utf-8") as file:
        paths = json.load(file)
    there = os.path.join(os.path.dirname(here), "there")
    # What lies in a folder together with this Python, or with this copy, is found where it is.
    kept = (sys.prefix + "/", there + "/")
    install([(path, there + path) for path in paths if not any(name.startswith(path + "/") for name in kept)])
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != here]
    sys.path_importer_cache.pop(here, None)
    sys.modules.pop("sitecustomize", None)
    try:
        import sitecustomize  # noqa: F401
    except ImportError:
        pass


_install()
'''


def place_of(path: str, root: str) -> PurePosixPath:
    """Where the data folder has what the command read at `path`."""
    if is_below(path, root):
        return PurePosixPath(PROJECT) / PurePosixPath(path).relative_to(root)
    return PurePosixPath(OUTSIDE) / path.lstrip("/")


def mirrored(draft: Draft) -> bool:
    """Whether the project must lie among its neighbours, because something of them was read."""
    return draft.redirected or len(moved(draft)) > 1 or not is_below(draft.cwd, draft.root)


def project_at(draft: Draft) -> PurePosixPath:
    """Where a test puts its copy of the project, below the folder that pytest gives it."""
    return PurePosixPath("there") / draft.root.lstrip("/") if mirrored(draft) else PurePosixPath("project")


def moved(draft: Draft) -> list[str]:
    """The recorded paths that the test has elsewhere: the project, and each folder on the way to an input."""
    outside = [file.path for file in draft.files] + [path for path, _ in draft.listed]
    found = {draft.root}
    for path in (path for path in outside if not is_below(path, draft.root)):
        found.update(listings.coverable([path, *map(str, PurePosixPath(path).parents)], [draft.root]))
    return sorted(found, key=lambda path: (-len(path), path))


def redirection() -> str:
    """A sitecustomize.py that redirects what a Python opens, for as long as the test runs."""
    text = inspect.getsource(redirect)
    return text.rstrip("\n") + "\n" + _CHAIN


def text(draft: Draft, name: str, file: Path, project: Path) -> str:
    """The whole module, for a `file` of `project`."""
    return "".join(_module(draft, name, file, project))


def _module(draft: Draft, name: str, file: Path, project: Path) -> Iterator[str]:
    yield from _docstring(draft)
    data = bool(draft.files or draft.stdin is not None or draft.redirected)
    yield "\nfrom __future__ import annotations\n\n"
    modules = ["shutil", "subprocess", "sys"] + (["resource"] if draft.limits else [])
    modules += ["os"]
    yield "".join(f"import {module}\n" for module in sorted(modules))
    yield "from pathlib import Path\n\n"
    depth = len(file.relative_to(project).parents) - 1
    yield f"PROJECT = Path(__file__).resolve().parents[{depth}]\n"
    if data:
        yield f"DATA = Path(__file__).resolve().with_name({literal(f'{file.stem}_data')})\n"
    yield "NOT_COPIED = {\n"
    yield from (f"    {line}\n" for line in _NOT_COPIED)
    yield "}\n"
    yield _COPY
    yield f"\ndef {name}(tmp_path: Path) -> None:\n"
    for line in "\n".join(_body(draft)).split("\n"):
        yield f"    {line}\n" if line else "\n"


def _docstring(draft: Draft) -> Iterator[str]:
    command = shlex.join([PurePosixPath(draft.argv[0]).name, *draft.argv[1:]])
    yield f'"""{_docstring_safe(command)[: _WIDTH - 30]} failed in production.\n\n'
    place = f"  ({draft.where})" if draft.where else ""
    yield f"    {_docstring_safe(draft.why + place)[:300]}\n\n"
    yield f"{OURS}{draft.run}. It gives the command what it read there, in a copy of this\n"
    yield "project, and passes when the command ends well.\n"
    if draft.reduced:
        yield "\nWhat the failure does not need was left out:\n"
        yield from (f"- {_docstring_safe(line)}\n" for line in draft.reduced)
    yield '"""\n'


def _docstring_safe(words: str) -> str:
    shown = "".join(char if char.isprintable() else " " for char in words)
    return shown.encode("utf-8", "replace").decode().replace("\\", "/").replace('"""', "'''").rstrip('"')


def _body(draft: Draft) -> Iterator[str]:
    """The lines of the test itself."""
    if mirrored(draft):
        yield 'there = tmp_path / "there"  # what lay in production at /path is at there/path'
        yield f"project = there / {literal(draft.root.lstrip('/'))}"
    else:
        yield 'project = tmp_path / "project"'
    yield "shutil.copytree(PROJECT, project, symlinks=True, ignore=unwanted)"
    inside = [file for file in draft.files if is_below(file.path, draft.root)]
    if inside:
        yield f"shutil.copytree(DATA / {literal(PROJECT)}, project, dirs_exist_ok=True)"
    if len(inside) < len(draft.files):
        yield f"shutil.copytree(DATA / {literal(OUTSIDE)}, there, dirs_exist_ok=True)"
    yield from _folders(draft)
    if draft.redirected:
        yield f"shutil.copytree(DATA / {literal(REDIRECT)}, tmp_path / {literal(REDIRECT)})"
    if not is_below(draft.cwd, draft.root):
        yield f"({_path(draft.cwd, draft)}).mkdir(parents=True, exist_ok=True)"
    yield "env = {"
    yield from (f"    {literal(name)}: {value}," for name, value in _variables(draft))
    yield "}"
    yield from _prepare(draft)
    if draft.stdin is not None:
        yield f"with (DATA / {literal(STDIN)}).open('rb') as stdin:".replace("'rb'", '"rb"')
        yield from ("    " + line for line in _run(draft, "stdin"))
    else:
        yield from _run(draft, "subprocess.DEVNULL")
    yield "assert done.returncode == 0, done.stderr"


def _folders(draft: Draft) -> Iterator[str]:
    for path, names in draft.listed:
        folder = _path(path, draft)
        yield _wrapped(
            "for name in (", [literal(name) for name in names], ("," if len(names) == 1 else "") + "):", "    "
        )
        yield f"    entry = {folder} / name"
        yield "    entry.parent.mkdir(parents=True, exist_ok=True)"
        yield '    entry.mkdir(exist_ok=True) if name.endswith("/") else entry.touch()'


def _variables(draft: Draft) -> Iterator[tuple[str, str]]:
    yield "PATH", 'os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])'
    home = any(is_below(path, draft.home) for path in moved(draft)) if draft.home not in {"", "/"} else False
    yield "HOME", expression(draft.home, draft) if home else "str(tmp_path)"
    python_path = dict(draft.env).get("PYTHONPATH", "")
    if draft.redirected:
        own = f'str(tmp_path / "{REDIRECT}")'
        yield "PYTHONPATH", f'{own} + ":" + {expression(python_path, draft)}' if python_path else own
    for name, value in draft.env:
        if name != "PYTHONPATH" or not draft.redirected:
            yield name, expression(value, draft)


def _prepare(draft: Draft) -> Iterator[str]:
    if not draft.limits and not draft.processors:
        return
    yield ""
    yield "def prepare() -> None:"
    for name, value in draft.limits:
        yield f"    resource.setrlimit(resource.RLIMIT_{name.upper()}, ({value}, {value}))"
    if draft.processors:
        yield f"    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:{draft.processors}])"
    yield ""


def _run(draft: Draft, stdin: str) -> Iterator[str]:
    yield "done = subprocess.run("
    yield _wrapped("    [", [_word(word, draft) for word in draft.argv], "],", "    ")
    for name, value in (
        ("cwd", _path(draft.cwd, draft)),
        ("env", "env"),
        ("stdin", stdin),
        ("capture_output", "True"),
        ("text", "True"),
        ("errors", '"replace"'),
    ):
        yield f"    {name}={value},"
    if draft.limits or draft.processors:
        yield "    preexec_fn=prepare,"
    if draft.umask is not None:
        yield f"    umask=0o{draft.umask:03o},"
    if draft.timeout is not None:
        yield f"    timeout={draft.timeout:g},"
    yield ")"


def _word(word: str, draft: Draft) -> str:
    if word in draft.python:
        return "sys.executable"
    if draft.programs and PurePosixPath(word).parent == PurePosixPath(draft.programs):
        return literal(PurePosixPath(word).name)
    return expression(word, draft)


def _path(path: str, draft: Draft) -> str:
    if path == draft.root:
        return "project"
    if is_below(path, draft.root):
        return f"project / {literal(path[len(draft.root.rstrip('/')) + 1 :])}"
    return f"there / {literal(path.lstrip('/'))}"


def expression(word: str, draft: Draft) -> str:
    """A word in which recorded paths point to where the test has them."""
    known = moved(draft)
    whole = word
    if "/.." in word or word.startswith("../"):
        resolved = str(PurePosixPath(re.sub(r"/+$", "", _normal(draft.cwd, word))))
        outside = resolved in known and not is_below(resolved, draft.root)
        whole = resolved if word.startswith("/") or outside else word
    pattern = "|".join(re.escape(path) for path in known)
    parts = re.split(rf"(?<![\w./-])({pattern})(?![\w.-])", whole)
    if len(parts) == 1:
        return literal(whole)
    shown = "".join(
        (part.replace("{", "{{").replace("}", "}}") if index % 2 == 0 else _inserted(part, draft))
        for index, part in enumerate(parts)
    )
    return f"f{literal(shown)}"


def _normal(folder: str, word: str) -> str:
    return posixpath.normpath(posixpath.join(folder, word))


def _inserted(path: str, draft: Draft) -> str:
    if path == draft.root:
        return "{project}"
    return "{there}" + path.replace("{", "{{").replace("}", "}}")


def literal(value: str) -> str:
    """A string of Python, in double quotes where that needs no backslash."""
    shown = repr(value)
    return shown if '"' in shown else f'"{shown[1:-1]}"'


def _wrapped(head: str, items: list[str], tail: str, indent: str) -> str:
    line = head + ", ".join(items) + tail
    if len(indent + line) <= _WIDTH:
        return line
    closing = tail.lstrip(",")
    inner = "".join(f"\n{indent}    {item}," for item in items)
    return f"{head}{inner}\n{indent}{closing}"
