"""What is left out of a test, by an oracle that knows what the failure needs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from dsenv.events import ignore
from dsenv.workflows.testfile.model import DataFile, Draft
from dsenv.workflows.testfile.reduce import Fails, Reducer
from tests.unit.workflows.testfile.test_source import draft

_LINES = [f"{number},oak\n".encode() for number in range(9000)]
_CONTENT = b"id,material\n" + b"".join(_LINES)


def _full() -> Draft:
    files = (DataFile("/srv/app/a.csv", "a", len(_CONTENT)), DataFile("/srv/app/b.json", "b", 2))
    env = (("NAMED", "1"), ("NEEDED", "1"), ("OTHER", "1"))
    limits = (("as", 5), ("nofile", 64), ("nproc", 9))
    return dataclasses.replace(draft(), files=files, env=env, limits=limits, umask=0o77, processors=2)


def _needs(made: Draft) -> bool:
    contents = [file.content or _CONTENT for file in made.files if file.path.endswith(".csv")]
    needed = ("NEEDED", "1") in made.env and ("nofile", 64) in made.limits
    return needed and bool(contents) and b"\n7000,oak" in contents[0] and contents[0].startswith(b"id,")


def _reduce(fails: Fails, seconds: float = 60) -> Draft:
    content: Callable[[str], bytes] = {"a": _CONTENT, "b": b"{}"}.__getitem__
    return Reducer(fails, seconds=seconds, emit=ignore).reduce(_full(), frozenset({"NAMED"}), content)


def test_what_the_failure_needs_what_the_code_names_and_memory_limits_stay() -> None:
    made = _reduce(_needs)
    assert made.env == (("NAMED", "1"), ("NEEDED", "1"))
    assert made.limits == (("as", 5), ("nofile", 64))
    assert (made.umask, made.processors) == (None, 0)
    assert [(file.path, file.content) for file in made.files] == [("/srv/app/a.csv", b"id,material\n7000,oak\n")]
    assert made.reduced == (
        "1 of 3 environment variables",
        "1 of 2 files that were read",
        "all but 2 of the 9,001 lines of a.csv",
    )


def test_an_interrupt_keeps_the_smallest_so_far() -> None:
    count = 0

    def fails(made: Draft) -> bool:
        nonlocal count
        count += 1
        if count == 25:
            raise KeyboardInterrupt
        return _needs(made)

    made = _reduce(fails)
    assert _needs(made) and count == 25
    assert made.reduced[-1] == "no more, because it was interrupted"


def test_without_time_nothing_is_left_out() -> None:
    made = _reduce(_needs, seconds=0)
    assert dataclasses.replace(made, reduced=()) == _full()
    assert made.reduced == ("no more, because the time for it was over",)
