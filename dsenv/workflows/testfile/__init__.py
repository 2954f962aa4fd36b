"""Save a failed run as a pytest: it fails now in the way that production failed, and passes once that is mended."""

from __future__ import annotations

import dataclasses
import os
import shutil
from pathlib import Path

from dsenv.agent import schema
from dsenv.errors import RecordError, StateError, UsageError
from dsenv.events import Cancel, Emit, Output, step
from dsenv.runs.record import Record
from dsenv.workflows import reproduce
from dsenv.workflows.reproduce import environment, working_tree
from dsenv.workflows.reproduce.model import Plan, Reproduction
from dsenv.workflows.testfile import draft as drafts
from dsenv.workflows.testfile import naming, source
from dsenv.workflows.testfile.model import Draft, Options, Saved, WorkingTree
from dsenv.workflows.testfile.reduce import Reducer
from dsenv.workflows.testfile.trial import Trials

__all__ = ["Options", "Saved", "default_file", "save"]

_PATIENCE = 15.0  # seconds
_OF_THE_TREE: dict[str, WorkingTree] = {"passed": "passes", "same-failure": "fails"}


def default_file(data: schema.Record) -> str:
    """A good place for a record's test, from the working folder. Raises UsageError for a run that ended well."""
    name = _name(data)
    folder = working_tree.find()
    tests = folder / "tests"
    file = (tests if tests.is_dir() else folder) / f"{name}.py"
    here = Path.cwd()
    return os.fspath(file.relative_to(here) if file.is_relative_to(here) else file)


def save(record: Record, options: Options, *, emit: Emit, cancel: Cancel) -> Saved:
    """Reproduce a run and save it as a test. Raises UsageError, RecordError, StateError, Cancelled.

    When it cannot be a test, `reason` says why and nothing is written.
    """
    name = _name(record.data)
    file = naming.test_file(options.file, name)
    project = naming.project_of(file)
    _check_free(file, record.id, options)
    if options.dry_run:
        return Saved(None, file, name, written=(file, naming.data_folder(file)))
    result = reproduce.reproduce(record, reproduce.Options(), emit=_quietly(emit), cancel=cancel)
    plan = reproduce.plan(record)
    lacking = _lacking(result, plan)
    if lacking:
        return Saved(result, file, name, reason=lacking)
    prefix = environment.make(plan.environment, emit=emit, cancel=cancel)
    expected = result.explained_by.signature if result.explained_by else result.recorded
    drafted = drafts.complete(record, plan, result)
    longest, isolated = _PATIENCE + 4 * result.seconds, plan.isolation == "namespace"
    trials = Trials(record, drafted, prefix, isolated=isolated, longest=longest, cancel=cancel)
    try:
        made = _made(trials, drafted, name, expected, options, emit)
        if isinstance(made, str):
            return Saved(result, file, name, reason=made)
        # What was reduced until the user had enough is written all the same.
        trials.cancel = Cancel()
        return _written(trials, made, Saved(result, file, name, reduced=made.reduced), project, expected, emit)
    finally:
        trials.close()


def _name(data: schema.Record) -> str:
    signature = data.get("signature")
    if signature is None:
        raise UsageError(f"{data['id']} ended well", hint="choose a failed run: dsenv runs --failed")
    return naming.function(data.get("project") or Path(data.get("cwd", "/")).name or "run", signature)


def _quietly(emit: Emit) -> Emit:
    return lambda event: None if isinstance(event, Output) else emit(event)


def _check_free(file: Path, run: str, options: Options) -> None:
    data = naming.data_folder(file)
    if not file.exists() and not data.exists():
        return
    try:
        ours = f"{source.OURS}{run}." in file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        ours = False
    if not ours and not options.overwrite:
        there = file if file.exists() else data
        raise UsageError(f"{there} exists and is not this run's test", hint="name another file, or add --yes")


def _lacking(result: Reproduction, plan: Plan) -> str | None:
    """Why a run cannot become a test, from what is known before it is tried."""
    if result.verdict != "same-failure":
        return f"the verdict is {result.verdict}, not same-failure" + (f": {result.reason}" if result.reason else "")
    if result.recorded is not None and result.recorded["cause"] == "out-of-memory" and not result.explained_by:
        return "it is killed for want of memory, and no limit was found at which it says where"
    if plan.root == "/":
        return "its project is the whole disk, of which no copy can be made"
    return None


def _made(
    trials: Trials, drafted: Draft, name: str, expected: schema.Signature | None, options: Options, emit: Emit
) -> Draft | str:
    """The smallest draft that was found, or why there is none."""
    with step(emit, "try", "try it as a test") as note:
        found = _working(trials, drafted, name, expected)
        note.failed, note.note = isinstance(found, str), found if isinstance(found, str) else ""
    if isinstance(found, str):
        return found

    def fails(candidate: Draft) -> bool | None:
        try:
            return reproduce.compare(expected, trials.outcome(candidate, name)) == "same-failure"
        except RecordError:
            return None

    reducer = Reducer(fails, seconds=options.seconds, emit=emit)
    with step(emit, "reduce", "leave out what the failure does not need") as note:
        small = reducer.reduce(found, drafts.named_in(trials.project), trials.record.blob)
        note.note = f"{trials.count} trials"
    return small


def _working(trials: Trials, drafted: Draft, name: str, expected: schema.Signature | None) -> Draft | str:
    """A draft that fails as production did: with rewritten words, else with redirected files too."""
    observed: schema.Signature | None = None
    for draft in (drafted, dataclasses.replace(drafted, redirected=True)):
        if draft.redirected and not drafted.files and not source.mirrored(drafted):
            break
        observed = trials.outcome(draft, name)
        if reproduce.compare(expected, observed) == "same-failure":
            return draft
    found = "it passes" if observed is None else f"it fails differently, {drafts.said(observed)}"
    return f"as a plain test {found.rstrip('.')}. {_suspect(trials.record)}"


def _suspect(record: Record) -> str:
    """What the record has that no plain test can give a program."""
    inputs = record.inputs()
    if any("answer" in item for item in inputs):
        return "It reads objects of a service, which a plain test cannot give it"
    if any(draw["value"] for draw in record.draws()):
        return "It may depend on what generators draw that nobody seeds"
    return "It depends on what only a reproduction restores: dsenv reproduce --dry-run lists that"


def _written(
    trials: Trials, small: Draft, saved: Saved, project: Path, expected: schema.Signature | None, emit: Emit
) -> Saved:
    """Verify the test in the recorded code, write it, and run it against the working tree."""
    staged = trials.project / saved.file.relative_to(project)
    with step(emit, "verify-test", "run the test in the recorded code") as note:
        for path in (staged, naming.data_folder(staged)):
            _remove(path)
        trials.write(small, saved.name, staged, trials.project)
        passed, by = trials.passes(saved.name, staged)
        same = reproduce.compare(expected, trials.observe(small, saved.name, staged)) == "same-failure"
        note.note = f"it fails, by {by}"
        if passed or not same:
            note.failed, note.note = True, "it passes" if passed else "it fails differently"
            reason = f"the test does not fail each time in the same way ({note.note}): it depends on chance"
            return dataclasses.replace(saved, reason=reason)
    with step(emit, "write-test", f"write {saved.file.name}"):
        try:
            for path in (saved.file, naming.data_folder(saved.file)):
                _remove(path)
            written = trials.write(small, saved.name, saved.file, project)
        except OSError as error:
            raise StateError(f"cannot write {error.filename or saved.file}: {error.strerror}") from error
    with step(emit, "working-tree", "run it against the working tree") as note:
        observed = trials.observe(small, saved.name, saved.file)
        verdict = reproduce.compare(expected, observed)
        tree: WorkingTree = _OF_THE_TREE.get(verdict, "fails-differently")
        note.note = tree
    return dataclasses.replace(
        saved,
        written=tuple(written),
        verified_by=by,
        working_tree=tree,
        observed=observed if tree == "fails-differently" else None,
    )


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
