"""The only reader of what ships inside the package: templates, and the agent as one file."""

from __future__ import annotations

import ast
import importlib.util
import io
import marshal
import sys
import zipfile
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from types import CodeType

from dsenv.agent.capture import hook
from dsenv.errors import UsageError

_EPOCH = (1980, 1, 1, 0, 0, 0)
_CLIENT_MAIN = "from dsenv.cli.main import main\nimport sys\nsys.exit(main())\n"
_HOOK = "dsenv/agent/capture/hook/"
# What capture loads at every start begins here.
_BUNDLED = ("dsenv.agent.__main__", "dsenv.agent.capture.command")


def templates() -> Traversable:
    """The folder of starter projects and files that are written for the user."""
    packaged = files("dsenv") / "_templates"
    if packaged.is_dir():
        return packaged
    return Path(__file__).resolve().parent.parent / "templates"


def template(name: str) -> Traversable:
    """One starter project. Raises UsageError with the names that exist."""
    known = template_names()
    if name not in known:
        raise UsageError(f"there is no template called {name}", hint=f"use one of: {', '.join(known)}")
    return templates() / "projects" / name


def template_names() -> list[str]:
    """The starter projects, sorted."""
    return sorted(item.name for item in (templates() / "projects").iterdir() if item.is_dir())


@cache
def agent_archive() -> bytes:
    """The agent as a zipapp that `python3 -I -S` can run; the same bytes for the same source and Python.

    Beside the source it carries byte code for the Python that makes it, that of capture in one piece
    (see `dsenv/agent/start.py`). Production mostly runs that version, and saves the time to compile; any other Python
    ignores it.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        package = files("dsenv")
        sources = {"dsenv/__init__.py": (package / "__init__.py").read_bytes()}
        sources.update(sorted(_sources(package / "agent", "dsenv/agent")))
        sources["__main__.py"] = sources["dsenv/agent/start.py"]
        codes = {path: compile(source, path, "exec", dont_inherit=True) for path, source in sources.items()}
        bundled = _bundled(sources)
        for path, source in sources.items():
            _add(archive, path, source)
            if path not in bundled.values() and not path.startswith(_HOOK):
                _add(archive, f"{path}c", _byte_code(source, codes[path]))
        # Not deflated: to inflate them takes longer than to read them.
        _add(archive, _HOOK + hook.PREPARED, _prepared(sources, codes), zipfile.ZIP_STORED)
        bundle = {name: (path, marshal.dumps(codes[path])) for name, path in bundled.items()}
        data = importlib.util.MAGIC_NUMBER + marshal.dumps(bundle)
        _add(archive, f"bundle.{sys.implementation.cache_tag}", data, zipfile.ZIP_STORED)
    return b"#!/usr/bin/env python3\n" + buffer.getvalue()


def _bundled(sources: dict[str, bytes]) -> dict[str, str]:
    """Of the modules that capture imports somewhere, and those that they import, the name and the path."""
    paths = {path.removesuffix(".py").removesuffix("/__init__").replace("/", "."): path for path in sources}
    waiting, found = list(_BUNDLED), {}
    while waiting:
        name = waiting.pop()
        if name in paths and name not in found:
            found[name] = paths[name]
            waiting += [name.rpartition(".")[0], *_imported(sources[paths[name]])]
    return dict(sorted(found.items()))


def _prepared(sources: dict[str, bytes], codes: dict[str, CodeType]) -> bytes:
    """What `hook.contents` reads."""
    names = [*hook.ALONE.values(), *hook.NAMES]
    texts = {name: sources[f"{_HOOK}{name}.py"] for name in names}
    compiled = {name: marshal.dumps(codes[f"{_HOOK}{name}.py"]) for name in names}
    return importlib.util.MAGIC_NUMBER + marshal.dumps(hook.arranged(texts, compiled))


def _imported(source: bytes) -> Iterator[str]:
    """Names that may be those of modules, from the import statements of a source."""
    waiting: list[ast.AST] = [ast.parse(source)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))
        waiting += ast.iter_child_nodes(node)


@cache
def client_archive() -> bytes:
    """The client as a zipapp, for a workstation that has its dependencies; the same bytes for the same source.

    Without what only a person in front of it needs: the TUI, and suites for tests.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        _add(archive, "__main__.py", _CLIENT_MAIN.encode())
        for path, source in sorted(_sources(files("dsenv"), "dsenv")):
            if not path.startswith(("dsenv/tui/", "dsenv/testing/")):
                _add(archive, path, source)
        for path, content in sorted(_contents(templates(), "dsenv/_templates")):
            _add(archive, path, content)
    return buffer.getvalue()


def _contents(folder: Traversable, prefix: str) -> list[tuple[str, bytes]]:
    found = []
    for item in folder.iterdir():
        if item.is_dir():
            found += _contents(item, f"{prefix}/{item.name}") if item.name != "__pycache__" else []
        else:
            found.append((f"{prefix}/{item.name}", item.read_bytes()))
    return found


def _byte_code(source: bytes, code: CodeType) -> bytes:
    """A .pyc that is valid for this source, whatever the times of files are (PEP 552)."""
    unchecked = (1).to_bytes(4, "little")
    return importlib.util.MAGIC_NUMBER + unchecked + importlib.util.source_hash(source) + marshal.dumps(code)


def _sources(folder: Traversable, prefix: str) -> list[tuple[str, bytes]]:
    found = []
    for item in folder.iterdir():
        if item.is_dir():
            found += _sources(item, f"{prefix}/{item.name}")
        elif item.name.endswith(".py"):
            found.append((f"{prefix}/{item.name}", item.read_bytes()))
    return found


def _add(archive: zipfile.ZipFile, name: str, data: bytes, compression: int = zipfile.ZIP_DEFLATED) -> None:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.external_attr = 0o644 << 16
    info.compress_type = compression
    archive.writestr(info, data)
