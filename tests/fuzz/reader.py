"""Reads harmed records in a process with little memory: `python -m tests.fuzz.reader STORE FIRST LAST`.

Writes a JSON line for each that neither was read nor refused with an error of ours.
"""

from __future__ import annotations

import builtins
import json
import os
import sys
import traceback as tracebacks
from pathlib import Path
from typing import Any

from dsenv.cli import output
from dsenv.cli.commands import show
from dsenv.errors import DsenvError
from dsenv.events import Cancel
from dsenv.runs import index, restore
from dsenv.runs.record import Record
from dsenv.runs.store.folder import FolderStore
from dsenv.tui import model
from dsenv.tui.widgets import facts, traceback
from dsenv.workflows import reproduce as workflow
from dsenv.workflows.reproduce.differences import differences
from dsenv.workflows.reproduce.model import Isolation
from dsenv.workflows.reproduce.scratch import Scratch
from dsenv.workflows.show import details
from tests.fuzz.mutations import Mutator

MEMORY = 3 << 30  # address space, of which Python with all libraries takes a third
_EXECUTING = {
    "exec",
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "pickle.find_class",
    "marshal.loads",
}
_IMPORTS_ARE_OURS = ("import", "compile")


def read(store: Path, run_id: str, *, thorough: bool) -> None:
    """All that is done with a record but running it."""
    opened = FolderStore(store)
    list(index.newest(opened))
    record = Record(opened, run_id)
    found = details(record)
    output.plain(found)
    state = model.apply(model.State(), model.RunOpened(found))
    for row in model.apply(state, model.AllFramesToggled()).frames:
        traceback.label(row)
        traceback.source(row, found)
    for page in facts._PAGES.values():
        assert all(line.plain is not None for line in page(state))
    assert list(show._lines(found, True))
    restore.verify(record)
    if thorough:
        restore_in(record, "redirect")


def restore_in(record: Record, way: Isolation) -> None:
    """All of a reproduction but running it; nothing of it is left."""
    plan = workflow.plan(record, workflow.Options(isolation=way))
    json.dumps(output.plain(plan))
    differences(record, plan, record)
    scratch = Scratch(plan, record)
    try:
        scratch.fill(Cancel())
        scratch.write_plan("/usr", record.id, debug=False)
    finally:
        scratch.remove()
    assert not scratch.folder.exists()


def _watch_for_execution(seen: list[str]) -> None:
    """Nothing of a record may be executed in order to look at it."""

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event in _EXECUTING and not _is_our_own(event, args):
            seen.append(f"{event} {args!r:.200}")

    sys.addaudithook(hook)


def _is_our_own(event: str, args: tuple[Any, ...]) -> bool:
    """Modules that are imported are executed as well; so are the named tuples of libraries."""
    if event in {"exec", "marshal.loads"}:
        frame: Any = sys._getframe(2)
        while frame is not None:
            if "importlib" in frame.f_code.co_filename or frame.f_code.co_name in {"namedtuple", "_create_fn"}:
                return True
            frame = frame.f_back
    return False


def main() -> int:
    """Read the harmed records of the seeds FIRST to LAST."""
    store, first, last = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    import resource

    runs = [run.id for run in index.newest(FolderStore(store))]
    for run_id in runs:
        read(store, run_id, thorough=True)  # imports what will be needed, and shows that the whole ones are read
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    executed: list[str] = []
    refused = 0
    _watch_for_execution(executed)
    for seed in range(first, last):
        run_id = runs[seed % len(runs)]
        mutator = Mutator(store, run_id, seed)
        try:
            mutator.harm()
            read(store, run_id, thorough=seed % 4 == 0)
        except DsenvError as error:
            refused += 1
            if not error.message:
                builtins.print(json.dumps({"seed": seed, "said": mutator.said, "problem": "an error without words"}))
        except Exception:  # noqa: BLE001 - whatever it is, it is what this test is for
            problem = tracebacks.format_exc(limit=-6)
            builtins.print(json.dumps({"seed": seed, "said": mutator.said, "problem": problem}))
        finally:
            mutator.undo()
        if executed:
            builtins.print(json.dumps({"seed": seed, "said": mutator.said, "problem": executed.pop()}))
            executed.clear()
    builtins.print(json.dumps({"read": last - first, "refused": refused, "peak": _peak()}))
    return 0


def _peak() -> int:
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(main())
