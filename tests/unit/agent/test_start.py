"""The agent's archive has in one piece what capture loads, and does without where that is of no use."""

from __future__ import annotations

import importlib.util
import marshal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from dsenv import resources
from dsenv.agent.capture import hook

PREPARED = ("sitecustomize.py", "its byte code", "failure.py", "its byte code", "parts", "their byte code")
BUNDLE = f"bundle.{sys.implementation.cache_tag}"
# What a traceback and the hook ask of a module and its loader.
ASK = """
import linecache, sys, zipimport
archive = sys.argv[1]
sys.path.insert(0, archive)
from dsenv.agent import start
start.use_bundle(zipimport.zipimporter(archive))
from dsenv.agent.capture import command, hook
print(type(command.__spec__.loader).__name__, command.__file__[len(archive) :])
print(linecache.getline(command.__file__, 1, vars(command)).strip())
from dsenv.agent.replay import listing
print(type(listing.__spec__.loader).__name__, len(hook.contents()))
"""


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    file = tmp_path / "agent.pyz"
    file.write_bytes(resources.agent_archive())
    return file


def without(archive: Path, member: str, instead: bytes | None) -> None:
    """Write the archive again, with another content of one member, or without it."""
    with zipfile.ZipFile(archive) as old:
        contents = {name: old.read(name) for name in old.namelist() if name != member}
    if instead is not None:
        contents[member] = instead
    with zipfile.ZipFile(archive, "w") as new:
        for name, data in contents.items():
            new.writestr(name, data)


def asked(archive: Path) -> list[str]:
    words = [sys.executable, "-I", "-S", "-c", ASK, str(archive)]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.splitlines()


def test_modules_of_the_bundle_are_like_any_other(archive: Path) -> None:
    assert asked(archive) == [
        "Bundle /dsenv/agent/capture/command.py",
        '"""The verb: start the command first, keep its record beside it, end as it ended."""',
        f"zipimporter {len(PREPARED)}",
    ]


@pytest.mark.parametrize(
    "instead", [None, b"of another Python", importlib.util.MAGIC_NUMBER], ids=["none", "other", "cut off"]
)
def test_without_a_bundle_modules_are_loaded_one_by_one(archive: Path, instead: bytes | None) -> None:
    without(archive, BUNDLE, instead)
    kind, *_, last = asked(archive)
    assert kind.startswith("zipimporter /dsenv/agent/capture/command.py")
    assert last == f"zipimporter {len(PREPARED)}"


def test_the_hook_in_the_archive_is_that_of_the_source(archive: Path) -> None:
    with zipfile.ZipFile(archive) as members:
        data = members.read("dsenv/agent/capture/hook/" + hook.PREPARED)
    prepared = marshal.loads(data[4:])
    texts = {name: content for name, content in hook.contents().items() if name.endswith(".py") or name == "parts"}
    assert {name: prepared[name] for name in texts} == texts
    assert {f"parts.{hook.TAG}", f"__pycache__/sitecustomize.{hook.TAG}.pyc"} <= set(prepared)
    files = {file.stem for file in Path(hook.__file__).parent.glob("*.py")} - {"__init__"}
    assert files == {*hook.NAMES, *hook.ALONE.values()}
