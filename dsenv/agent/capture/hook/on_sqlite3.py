"""Databases are inputs, with their log of changes that are not in them yet."""

import os

from .opener import Opener

TYPE_CHECKING = False  # typing would be loaded into every program
if TYPE_CHECKING:
    from typing import Any

    from .program import Program


def watch(sqlite3: "Any", program: "Program") -> None:
    """Stand before `sqlite3.connect`."""

    def before(database: "Any" = None, *_args: "Any", **kwargs: "Any") -> None:
        try:
            name = os.fsdecode(os.fspath(database))
        except TypeError:
            return
        if kwargs.get("uri") and name.startswith("file:"):
            name = name[5:].partition("?")[0]
        if name and not name.startswith(":"):
            for path in (name, name + "-wal"):
                if program.inputs is not None and (path == name or os.path.exists(path)):
                    program.inputs.opened(path, True, False, "sqlite")

    opener = Opener(sqlite3.connect, before)
    sqlite3.connect = sqlite3.dbapi2.connect = opener
