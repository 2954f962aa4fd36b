"""Lists folders in the order in which the recorded run saw their entries: file systems give them as they like."""

from __future__ import annotations

import functools
import os
from typing import Any, Callable, Dict, Iterator, List

# What capture leaves out of tracebacks: production's had no such frame.
OWN = "<dsenv>"


def install(orders: Dict[str, List[str]]) -> None:
    """Sort what `os.listdir` and `os.scandir` give for the folders of `orders`; new names come last."""
    ranks = {path: {name: n for n, name in enumerate(names)} for path, names in orders.items()}
    listdir, scandir = os.listdir, os.scandir

    def rank_in(folder: Any) -> Callable[[Any], int]:
        if isinstance(folder, int):
            return lambda name: 0
        known = ranks.get(os.path.normpath(os.path.join(os.getcwd(), os.fsdecode(folder))), {})
        return lambda name: known.get(os.fsdecode(name), len(known))

    def sorted_listdir(path: Any = ".") -> List[Any]:
        return sorted(listdir(path), key=rank_in("." if path is None else path))

    def sorted_scandir(path: Any = ".") -> _Entries:
        rank = rank_in("." if path is None else path)
        with scandir(path) as found:
            return _Entries(sorted(found, key=lambda entry: rank(entry.name)))

    for function, real in ((sorted_listdir, listdir), (sorted_scandir, scandir)):
        function.__code__ = function.__code__.replace(co_filename=OWN)
        setattr(os, real.__name__, functools.wraps(real)(function))
        os.supports_fd.add(getattr(os, real.__name__))


class _Entries:
    """What `os.scandir` returns: an iterator that is a context manager."""

    def __init__(self, entries: List[Any]) -> None:
        self._entries: Iterator[Any] = iter(entries)

    def __iter__(self) -> "_Entries":
        return self

    def __next__(self) -> Any:
        return next(self._entries)

    def __enter__(self) -> "_Entries":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def close(self) -> None:
        self._entries = iter(())
