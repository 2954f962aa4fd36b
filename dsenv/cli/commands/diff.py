"""`dsenv diff`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from dsenv.cli import options, output

if TYPE_CHECKING:
    from dsenv.envs.diff import Report

_MARKS = {"block": "blocked", "warn": "differs", "info": "note"}


def diff(
    a: Annotated[str, typer.Argument(metavar="[A]", help="local, lock, a workstation's name, or run:ID.")] = "local",
    b: Annotated[str, typer.Argument(metavar="[B]", help="What to compare it with.")] = "lock",
    store: options.Store = None,
    json: options.Json = False,
    progress: options.ProgressOption = "auto",
) -> None:
    """Compare two places, layer by layer.

    Says why each difference matters and what closes it. Exit code 0 when they are identical or compatible, 1 when
    results may differ.

    Example: dsenv diff local run:last-failed
    """
    from dsenv.cli import diagnostics
    from dsenv.events import Cancel
    from dsenv.workflows.diff import diff as compare

    with diagnostics.listener(diagnostics.mode(progress)) as emit:
        report = compare(a, b, store=store, emit=emit, cancel=Cancel())
    if json:
        output.write_json(report)
    else:
        output.write("\n".join(_lines(report)))
    if not report.parity:
        raise typer.Exit(1)


def _lines(report: Report) -> Iterator[str]:
    from dsenv import wording

    yield f"{report.a} and {report.b}: {report.verdict}"
    for name, (x, y) in report.digests.items():
        if x or y:
            yield f"  {name:8} {(x or '-')[:16]}  {(y or '-')[:16]}"
    layer = ""
    for row in report.differences:
        if row.layer != layer:
            layer = row.layer
            yield f"\n{layer}"
        sides = f"{row.a if row.a is not None else '(absent)'} | {row.b if row.b is not None else '(absent)'}"
        yield f"  {_MARKS[row.level]:8} {row.name}: {wording.printable(wording.shorten(sides, 200))}"
        yield f"           why: {row.why}"
        yield f"           fix: {wording.printable(wording.shorten(row.fix, 200))}"
