"""Folders that the program lists, and what it makes itself in them."""

import os

from .opener import stand_before

TYPE_CHECKING = False  # typing would be loaded into every program
if TYPE_CHECKING:
    from typing import Any

    from .files import Inputs

_ENTRIES = 10_000  # of a folder that are noted
_FOLDERS = 2_000

_listdir, _scandir, _lstat = os.listdir, os.scandir, os.lstat


def watch(inputs: "Inputs") -> None:
    """Stand before the functions of `os` that list, make and rename; `glob` and `pathlib` go through them, too."""
    seen: "set[str]" = set()

    def before_list(path: "Any" = ".") -> None:
        folder = inputs.place("." if path is None else path)
        if folder is None or folder in seen:
            return
        if len(seen) >= _FOLDERS:
            if len(seen) == _FOLDERS:
                seen.add("")
                inputs.trouble("more than {} folders were listed; the others are not noted".format(_FOLDERS))
            return
        seen.add(folder)
        note(inputs, folder)

    def before_mkdir(path: "Any", *_args: "Any", **kwargs: "Any") -> None:
        place = inputs.place(path) if kwargs.get("dir_fd") is None else None
        if place is not None and not _is_there(place):
            inputs.wrote(place)

    def before_rename(_source: "Any", target: "Any", *_args: "Any", **kwargs: "Any") -> None:
        place = inputs.place(target) if kwargs.get("dst_dir_fd") is None else None
        if place is not None:
            inputs.wrote(place)

    stand_before(os, "listdir", before_list)
    stand_before(os, "scandir", before_list)
    stand_before(os, "mkdir", before_mkdir)
    stand_before(os, "rename", before_rename)
    stand_before(os, "replace", before_rename)


def note(inputs: "Inputs", folder: str) -> None:
    """Note the entries as the system gives them; folders with a slash at the end."""
    entries = []
    try:
        with _scandir(folder) as found:
            for entry in found:
                entries.append(entry.name + "/" if entry.is_dir() else entry.name)
                if len(entries) >= _ENTRIES:
                    inputs.trouble("{} has more than {} entries; the others are not noted".format(folder, _ENTRIES))
                    break
    except OSError:
        return
    inputs.note(folder, "listed", {"entries": entries})


def _is_there(path: str) -> bool:
    try:
        _lstat(path)
    except OSError:
        return False
    return True
