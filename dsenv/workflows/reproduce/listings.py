"""Folders that the recorded run listed: their entries, in the order in which it saw them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from dsenv.agent import schema
from dsenv.runs import restore
from dsenv.workflows.reproduce.model import Item

# Folders that every process needs as they are here.
_SYSTEM = (
    *("/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib64", "/media", "/mnt", "/opt", "/proc", "/root"),
    *("/run", "/sbin", "/srv", "/sys", "/tmp", "/usr", "/var", "/var/tmp"),  # noqa: S108 - named, not used
)


def listed(inputs: Iterable[schema.Input]) -> dict[str, list[str]]:
    """The entries of each folder as it was listed first; names that no folder can have are left out."""
    found: dict[str, list[str]] = {}
    for item in inputs:
        path = item["path"]
        if item.get("how") == "listed" and path.startswith("/") and os.path.normpath(path) == path:
            found.setdefault(path, [name for name in item.get("entries", []) if _is_name(name.removesuffix("/"))])
    return found


def _is_name(name: str) -> bool:
    return bool(name) and name not in {".", ".."} and "/" not in name and "\0" not in name


def coverable(folders: Iterable[str], kept: Iterable[str]) -> list[str]:
    """Those that can be shown as they were: nothing that this machine needs lies in them."""
    needed = [*_SYSTEM, *kept, sys.prefix, sys.base_prefix]
    return [
        folder
        for folder in folders
        if not any(path == folder or path.startswith(folder.rstrip("/") + "/") for path in needed)
    ]


def account(inputs: Iterable[schema.Input]) -> list[Item]:
    """What is said of them beforehand."""
    return [
        Item("folder", path, f"{len(entries)} entries, in the order in which they were listed")
        for path, entries in listed(inputs).items()
    ]


def fill(entries: dict[str, list[str]], place: dict[str, Path], read: set[str], within: Path) -> Iterator[Item]:
    """Make what was listed and is not there yet: empty files and folders, nothing that is not `within`.

    Says which were not `read`, and are therefore empty.
    """
    top = os.path.realpath(within)
    for path, names in entries.items():
        if path in place and not os.path.realpath(place[path]).startswith(top + os.sep):
            yield Item("folder", path, "it lies behind a link that is not followed here")
            continue
        if path not in place:
            yield Item("folder", path, "this machine needs it as it is; only the order of the recorded names is kept")
            continue
        place[path].mkdir(parents=True, exist_ok=True)
        empty = sum(_make(place[path], name) and f"{path}/{name}" not in read for name in names)
        if empty:
            yield Item("folder", path, f"{empty} files in it were listed and not read; they are empty here")


def _make(folder: Path, name: str) -> bool:
    """Whether a file was made. A link, or what stands where a folder was, is left as it is."""
    target = folder / restore.inside(name.removesuffix("/"))
    if os.path.lexists(target):
        return False
    if name.endswith("/"):
        target.mkdir()
        return False
    target.touch(0o600)
    return True


def order(entries: dict[str, list[str]], place: dict[str, Path]) -> dict[str, list[str]]:
    """What the replay sorts by: names by the recorded folder, and by where that is here."""
    names = {path: [name.removesuffix("/") for name in found] for path, found in entries.items()}
    return {**names, **{os.fspath(place[path]): found for path, found in names.items() if path in place}}
