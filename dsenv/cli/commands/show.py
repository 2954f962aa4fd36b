"""`dsenv show`: everything that a record tells of one run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dsenv.cli import options, output

if TYPE_CHECKING:
    from dsenv.agent import schema
    from dsenv.workflows.show import RunDetails

_MOMENTS = 12  # of the black box that are shown


def show(
    run: options.RunId,
    store: options.Store = None,
    all_frames: Annotated[bool, typer.Option("--all-frames", help="Locals of all frames, libraries included.")] = False,
    only_output: Annotated[
        bool, typer.Option("--output", help="Write all that the command wrote, its stderr to stderr, and nothing else.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Show one run: why it failed, where, with which locals, inputs and output.

    Example: dsenv show last-failed
    """
    from dsenv import wording
    from dsenv.errors import UsageError
    from dsenv.workflows.show import show as read

    if only_output:
        if json:
            raise UsageError("--output and --json are two documents", hint="use one of them")
        _replay(run, store)
        return

    result = read(run, store)
    if json:
        output.write_json(result)
        return
    # The one place where its text reaches a terminal: nothing in it may be obeyed there.
    output.write(wording.printable("\n".join(_lines(result, all_frames))))


def _replay(run: str, store: str | None) -> None:
    """The output as it was written; a terminal gets it without what would take effect there."""
    from dsenv import wording
    from dsenv.cli import diagnostics
    from dsenv.workflows.show import chunks

    for chunk in chunks(run, store):
        to_terminal = diagnostics.is_terminal() if chunk.stream == "stderr" else output.is_terminal()
        data = wording.printable(chunk.data.decode("utf-8", "replace")).encode() if to_terminal else chunk.data
        diagnostics.write_bytes(data) if chunk.stream == "stderr" else output.write_bytes(data)


def _lines(result: RunDetails, all_frames: bool) -> Iterator[str]:
    from dsenv import wording

    record = result.record
    yield f"run        {record['id']}  ({result.status}, {record.get('kind', 'production')})"
    yield f"command    {wording.command(*record.get('command', []))}"
    yield f"folder     {record.get('cwd', '')}"
    took = wording.took(record)
    yield f"started    {wording.ago(record.get('started', 0))}{f', took {took}' if took else ''}"
    if record.get("signature"):
        yield f"failure    {wording.failure(record['signature'], result.failure)}"
        if place := wording.place(record["signature"]):
            yield f"at         {place}"
    elif record.get("exit"):
        yield f"exit       {record['exit']}"
    yield from _code(record)
    for trouble in record.get("trouble", []):
        yield f"missing    {trouble}"
    if result.failure:
        yield ""
        yield from _traceback(result.failure, all_frames)
    yield from _black_box(result)
    yield from _inputs(result)
    yield from _output_tail(result)
    yield ""
    yield f"reproduce it with: dsenv reproduce {record['id']}"


def _code(record: schema.Record) -> Iterator[str]:
    from dsenv import wording

    code = record.get("code")
    if code:
        files = wording.count(code["files"], "file")
        yield f"code       {files}, {wording.size(code['bytes'])}{_revision(code['vcs'])}"
    facts = record.get("environment", {})
    python = facts.get("python", {}).get("version")
    if python:
        words: dict[bool | None, str] = {True: ", as locked", False: ", not what the lock says"}
        lock = words.get(facts.get("satisfied"), "") if facts.get("lock") else ""
        yield f"python     {python}, {len(facts.get('distributions', []))} packages{lock}"
    hidden = record.get("redactions", [])
    if hidden:
        names = sorted({f"{item['where']} {item['name']}" for item in hidden})
        yield f"hidden     {', '.join(names)}"


def _revision(vcs: dict[str, Any] | None) -> str:
    if not vcs or not vcs.get("system"):
        return ""
    if not vcs.get("commit"):
        return f", {vcs['system']}, no commit yet"
    dirty = " with uncommitted changes" if vcs.get("dirty") else ""
    return f", {vcs['system']} {str(vcs['commit'])[:10]}{dirty}"


def _traceback(failure: schema.Failure, all_frames: bool) -> Iterator[str]:
    for number, error in enumerate(reversed(failure.get("exceptions", []))):
        if number:
            how = "was the direct cause of" if error.get("link") == "cause" else "was being handled during"
            yield f"The exception above {how} this one:"
        for frame in error.get("frames", []):
            yield f"  {frame['file']}:{frame['line']} in {frame['function']}"
            yield from _frame(frame, all_frames)
        yield ": ".join(filter(None, (error["type"], error.get("message"))))


def _frame(frame: schema.FrameDetail, all_frames: bool) -> Iterator[str]:
    from dsenv import wording

    first = frame.get("first_line", frame["line"])
    for number, line in enumerate(frame.get("source", []), first):
        if number == frame["line"] or (frame.get("user") and abs(number - frame["line"]) <= 2):
            yield f"  {'>' if number == frame['line'] else ' '} {number:5} {line}"
    if frame.get("user") or all_frames:
        for local in frame.get("locals", []):
            yield f"          {wording.shorten(describe(local), 110)}"


def describe(local: schema.Local) -> str:
    """A local in one line: name, preview, and its shape when it has one."""
    shape = f" {'x'.join(map(str, local['shape']))}" if local.get("shape") else ""
    dtype = f" {local['dtype']}" if local.get("dtype") else ""
    return f"{local.get('name', '')} = {local.get('preview', '')}  ({local.get('type', '?')}{shape}{dtype})"


def _black_box(result: RunDetails) -> Iterator[str]:
    """A line for each moment, with the user's frame of the process that comes first."""
    from dsenv import wording

    if not result.black_box:
        return
    code = result.record.get("code")
    root = code["root"] if code else result.record.get("cwd", "")
    yield ""
    yield "black box"
    for entry in result.black_box[-_MOMENTS:]:
        after = (entry.get("when", 0) - result.record.get("started", 0)) / 1e6
        limit = entry.get("limit", 0)
        used = f" {wording.size(entry.get('memory', 0))} of {wording.size(limit)}" if limit else ""
        yield f"  {after:9.3f} s  {entry.get('why', '')}{used}  {wording.moment(entry, root)}".rstrip()


def _inputs(result: RunDetails) -> Iterator[str]:
    from dsenv import wording

    if not result.inputs:
        return
    yield ""
    yield "inputs"
    for item in result.inputs[:20]:
        state, _ = wording.input_state(item)
        yield f"  {item.get('path', '')}  ({state})"
    if len(result.inputs) > 20:
        yield f"  and {len(result.inputs) - 20} more; see --json"


def _output_tail(result: RunDetails) -> Iterator[str]:
    from dsenv import wording

    data = b"".join(chunk.data for chunk in result.output)
    if data:
        lines = data.decode("utf-8", "replace").splitlines()
        yield ""
        yield f"output ({wording.size(result.output_bytes)}, the end)"
        yield from (f"  {line}" for line in lines[-20:])
