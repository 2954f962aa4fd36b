"""The only reader of what ships inside the package: templates, and the agent as one file."""

from __future__ import annotations

import importlib.util
import io
import marshal
import zipfile
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from dsenv.errors import UsageError

_EPOCH = (1980, 1, 1, 0, 0, 0)
_CLIENT_MAIN = "from dsenv.cli.main import main\nimport sys\nsys.exit(main())\n"
_MAIN = "from dsenv.agent.__main__ import main\nimport sys\nsys.exit(main())\n"


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

    Beside the source it carries byte code for the Python that makes it. Production mostly runs that version, and
    saves the time to compile; any other Python ignores it.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        _add(archive, "__main__.py", _MAIN.encode())
        package = files("dsenv")
        _add(archive, "dsenv/__init__.py", (package / "__init__.py").read_bytes())
        for path, source in sorted(_sources(package / "agent", "dsenv/agent")):
            _add(archive, path, source)
            _add(archive, f"{path}c", _byte_code(path, source))
    return b"#!/usr/bin/env python3\n" + buffer.getvalue()


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


def _byte_code(path: str, source: bytes) -> bytes:
    """A .pyc that is valid for this source, whatever the times of files are (PEP 552)."""
    unchecked = (1).to_bytes(4, "little")
    code = marshal.dumps(compile(source, path, "exec", dont_inherit=True))
    return importlib.util.MAGIC_NUMBER + unchecked + importlib.util.source_hash(source) + code


def _sources(folder: Traversable, prefix: str) -> list[tuple[str, bytes]]:
    found = []
    for item in folder.iterdir():
        if item.is_dir():
            found += _sources(item, f"{prefix}/{item.name}")
        elif item.name.endswith(".py"):
            found.append((f"{prefix}/{item.name}", item.read_bytes()))
    return found


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.external_attr = 0o644 << 16
    info.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(info, data)
