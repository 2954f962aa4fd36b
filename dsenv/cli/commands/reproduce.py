"""`dsenv reproduce`: bring a failed run home and see it fail here."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from dsenv.cli import options, output

if TYPE_CHECKING:
    from dsenv.workflows.reproduce import Options
    from dsenv.workflows.reproduce.model import CodeChoice, Difference, Item, Plan, Reproduction
    from dsenv.workflows.testfile.model import Saved

_SHOWN = 12  # differences; the first ones are the likeliest
_ALIKE = 3  # items of a kind that are named
_TREE = {
    "fails": "with the working tree it fails: not fixed yet",
    "passes": "it passes with the working tree: it is fixed",
    "fails-differently": "with the working tree it fails differently: not fixed",
}


def reproduce(
    run: Annotated[
        str | None, typer.Argument(metavar="RUN", help="Run id, a unique part of one, `last` or `last-failed`.")
    ] = None,
    store: options.Store = None,
    no_tui: Annotated[bool, typer.Option("--no-tui", help="Print the verdict instead of opening the TUI.")] = False,
    code: Annotated[
        str, typer.Option("--code", metavar="WHICH", help="recorded, or working-tree: is it fixed?")
    ] = "recorded",
    pdb: Annotated[bool, typer.Option("--pdb", help="Stop in your frame where it fails.")] = False,
    clock: Annotated[
        str | None, typer.Option("--clock", metavar="recorded", help="Begin Python's time when the recorded run began.")
    ] = None,
    test: Annotated[
        Path | None,
        typer.Option("--test", metavar="FILE", help="Save it as a pytest: fails now, passes once it is fixed."),
    ] = None,
    on: Annotated[
        str | None,
        typer.Option("--on", metavar="NAME", help="On this workstation; `docker`: in a container made for it."),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the scratch folder and say where it is.")] = False,
    yes: options.Yes = False,
    dry_run: options.DryRun = False,
    json: options.Json = False,
    progress: options.ProgressOption = "auto",
) -> None:
    """Reproduce a failed run: its code, environment and inputs, run again, with a verdict.

    Opens the TUI when there is a terminal. Exits 0 when the verdict is same-failure, else 1: also when the working tree
    is fixed, for which `--json` has `fixed`.

    A run that was killed for want of memory is run twice: the second time it cannot have so much, and says where.

    `--test FILE` writes the test and its inputs beside it, when it is the same failure: else nothing, and exits 1.

    Example: dsenv reproduce last-failed --store s3://acme-runs/churn --no-tui
    """
    from dsenv.errors import UsageError

    _check(code, clock)
    plain = no_tui or json or dry_run or pdb or clock or test or on or not (sys.stdin.isatty() and sys.stdout.isatty())
    if not plain:
        from dsenv.tui import app

        raise typer.Exit(app.run(run=run, store=store))
    if run is None:
        raise UsageError("which run?", hint="dsenv reproduce last-failed, or list them with `dsenv runs --failed`")
    if test is not None:
        if pdb or keep or clock or on or code != "recorded":
            raise UsageError(
                "--test reproduces the recorded code as it is", hint="give no option but --yes with --test"
            )
        _save(run, store, test, yes=yes, dry_run=dry_run, json=json, progress=progress)
        return
    if on is not None:
        words = {"--code": code, "--clock": clock, "--progress": progress if progress != "auto" else None}
        switches = {"--pdb": pdb, "--keep": keep, "--dry-run": dry_run, "--json": json}
        raise typer.Exit(_elsewhere(run, store, on, _passed(words, switches), progress))
    from dsenv.workflows.reproduce import Options

    settings = Options(code=cast("CodeChoice", code), debug=pdb, keep=keep, clock=clock is not None)
    if _reproduce(run, store, settings, dry_run=dry_run, json=json, progress=progress) != "same-failure":
        raise typer.Exit(1)


def _check(code: str, clock: str | None) -> None:
    from dsenv.errors import UsageError

    if code not in {"recorded", "working-tree"}:
        raise UsageError(f"--code {code} is not known", hint="use --code recorded or --code working-tree")
    if clock not in {None, "recorded"}:
        raise UsageError(f"--clock {clock} is not known", hint="use --clock recorded")


def _passed(words: Mapping[str, str | None], switches: Mapping[str, bool]) -> list[str]:
    """The options for the same command elsewhere."""
    given = [word for name, value in words.items() if value for word in (name, value)]
    return [*given, *(name for name, on in switches.items() if on)]


def _reproduce(run: str, store: str | None, settings: Options, *, dry_run: bool, json: bool, progress: str) -> str:
    from dsenv.cli import diagnostics
    from dsenv.events import Cancel
    from dsenv.workflows import reproduce as workflow

    record = workflow.open_record(run, store)
    if dry_run:
        plan = workflow.plan(record, settings)
        output.write_json(plan) if json else output.write("\n".join(_plan_lines(plan)))
        return "same-failure"
    with diagnostics.listener(diagnostics.mode(progress)) as emit:
        result = workflow.reproduce(record, settings, emit=emit, cancel=Cancel())
    if json:
        output.write_json(result)
    else:
        output.write("\n".join(_result_lines(result)))
    return result.verdict


def _elsewhere(run: str, store: str | None, on: str, passed: list[str], progress: str) -> int:
    """Its output and its exit code are those of the same command on the workstation."""
    from dsenv.cli import diagnostics, terminal
    from dsenv.events import Cancel
    from dsenv.workflows import elsewhere
    from dsenv.workflows import reproduce as workflow

    if "--dry-run" in passed and elsewhere.makes_container(on):
        output.write("would make a container like the machine of the recorded run, reproduce it there, and destroy it")
        return 0
    pty = terminal.pty() if "--pdb" in passed else None
    console = terminal.TerminalConsole(raw=pty is not None, stdin=pty is not None, detachable=False)
    wanted = elsewhere.Wanted(passed, tree="working-tree" in passed, keep="--keep" in passed)
    record = workflow.open_record(run, store)
    with diagnostics.listener(diagnostics.mode(progress)) as emit, console.active():
        outcome = elsewhere.reproduce(record, on, wanted, console, pty=pty, emit=emit, cancel=Cancel())
    return outcome.code


def _save(run: str, store: str | None, file: Path, *, yes: bool, dry_run: bool, json: bool, progress: str) -> None:
    from dsenv.cli import diagnostics
    from dsenv.events import Cancel
    from dsenv.workflows import reproduce as workflow
    from dsenv.workflows import testfile

    record = workflow.open_record(run, store)
    wanted = testfile.Options(file, overwrite=yes, dry_run=dry_run)
    with diagnostics.listener(diagnostics.mode(progress)) as emit:
        saved = testfile.save(record, wanted, emit=emit, cancel=Cancel())
    output.write_json(saved) if json else output.write("\n".join(_saved_lines(saved, dry_run=dry_run)))
    if saved.reason:
        raise typer.Exit(1)


def _saved_lines(saved: Saved, *, dry_run: bool) -> Iterator[str]:
    from dsenv import wording

    if saved.reason:
        yield f"nothing was written: {wording.printable(saved.reason)}"
        return
    for path in saved.written:
        yield f"{'would write' if dry_run else 'wrote':12}{path}"
    for words in saved.reduced:
        yield f"left out    {wording.printable(words)}"
    if dry_run:
        yield "if it fails as recorded when it is reproduced first"
        return
    yield f"verified    it fails in the recorded code, by {saved.verified_by}"
    yield f"now         {_TREE[saved.working_tree]}"
    if saved.observed:
        yield f"observed    {_failure(saved.observed)}"


def _plan_lines(plan: Plan) -> Iterator[str]:
    from dsenv import wording

    yield f"would run   {wording.printable(wording.command(*plan.argv))}"
    yield f"in          {wording.printable(plan.cwd)}  ({plan.isolation})"
    yield from _items("restored", plan.restored)
    yield from _items("not restored", plan.not_restored)


def _result_lines(result: Reproduction) -> Iterator[str]:
    from dsenv import wording

    meaning = wording.verdict(result.code, result.verdict)
    yield f"verdict     {meaning}" if result.fixed is not None else f"verdict     {result.verdict}: {meaning}"
    if result.reason:
        yield f"because     {wording.printable(result.reason)}"
    yield f"recorded    {_failure(result.recorded)}"
    if result.verdict != "cannot-reproduce":
        yield f"observed    {_failure(result.observed)}"
    if result.not_stopped:
        yield f"pdb         {wording.printable(result.not_stopped)}"
    if result.explained_by:
        yield f"explained   {wording.printable(wording.out_of_memory(result.explained_by.signature))}"
    if result.fixed:
        return  # what differs does not matter any more; it is in the JSON
    if result.differences:
        yield "differences, the likeliest cause first"
        for difference in result.differences[:_SHOWN]:
            yield from _difference(difference)
        if len(result.differences) > _SHOWN:
            yield f"  and {len(result.differences) - _SHOWN} more: --json"
    else:
        yield from _items("not restored", result.not_restored)
    if result.scratch:
        yield f"kept        {result.scratch}"


def _difference(difference: Difference) -> Iterator[str]:
    from dsenv import wording

    name = " ".join(filter(None, (difference.what, wording.printable(difference.name))))
    sides = "" if difference.here == "not restored" else f" ({difference.recorded} there, {difference.here} here)"
    yield f"  {name}{wording.printable(sides)}: {wording.printable(difference.why)}"
    if difference.fix:
        yield f"    next: {wording.printable(difference.fix)}"


def _failure(signature: object) -> str:
    from typing import Any

    from dsenv import wording

    value = cast("dict[str, Any] | None", signature)
    where = wording.place(value)
    return wording.printable(wording.signature(value) + (f"  at {where}" if where else ""))


def _items(title: str, items: tuple[Item, ...]) -> Iterator[str]:
    from dsenv import wording

    if items:
        yield title
    # Many of a kind that are treated alike are one line: all of them are in the JSON.
    kinds: dict[tuple[str, str], list[Item]] = {}
    for item in items:
        kinds.setdefault((item.what, item.note), []).append(item)
    for (what, note), alike in kinds.items():
        names = [item.name for item in alike] if len(alike) <= _ALIKE else [f"{len(alike)} of them"]
        for name in names:
            words = " ".join(filter(None, (what, wording.shorten(name, 60))))
            yield f"  {words}: {wording.printable(note)}"
