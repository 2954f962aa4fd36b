"""Decides, before anything is written, what of a run can be brought back here, and how."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from pathlib import Path, PurePosixPath
from typing import Any

from dsenv.agent import schema
from dsenv.errors import RecordError
from dsenv.runs.record import Record
from dsenv.workflows.reproduce import environment, listings, objects, randomness, working_tree
from dsenv.workflows.reproduce.conditions import conditions
from dsenv.workflows.reproduce.means import here, means
from dsenv.workflows.reproduce.model import Choice, CodeChoice, InputPlan, Isolation, Item, Means, Plan

_CHANGED = "the record was changed; do not trust it"
# Files by which a developer changes what a program does: for `--code working-tree` the edited ones count.
SETTINGS = frozenset({".cfg", ".ini", ".toml", ".yaml", ".yml"})


def plan(
    record: Record,
    *,
    code: CodeChoice = "recorded",
    isolation: Isolation | None = None,
    clock: bool = False,
    available: Means | None = None,
) -> Plan:
    """The plan for `record`. Reads the record and this machine, writes and runs nothing of either.

    `isolation` is chosen by what the machine allows when it is not given; `clock` lets time begin as recorded;
    `available` is what may be used, found out when it is not given.
    """
    data = record.data
    root = data["code"]["root"] if data.get("code") else data.get("cwd", "/")
    _check(data, root)
    choice = environment.choose(record)
    available = available or means()
    chosen = isolation or ("namespace" if available.namespace else "redirect")
    inputs = tuple(_input(item, root, code) for item in _first_seen(_trusted(record, root)))
    env, placeholders = _variables(data)
    restored, lost = _accounts(record, choice, code, inputs)
    lost += [Item("env", name, "its value was hidden in the record; a placeholder is set") for name in placeholders]
    held = conditions(data, here(env), available, clock)
    restored += held.restored
    lost += held.lost
    if chosen == "redirect":
        note = (
            "no mount namespace here: files are redirected for Python, compiled readers and programs see this machine"
        )
        lost.append(Item("folder", root, note))
    covered = chosen == "namespace" and available.overlay
    if covered:
        others = "" if os.geteuid() == 0 else "; files of others can be read and not be changed"
        note = f"what it writes outside its scratch folder is kept from the disk{others}"
        restored.append(Item("folder", "/", note))
    else:
        lost.append(Item("folder", "/", "it may write outside its scratch folder, as you"))
    return Plan(
        run=record.summary(),
        code=code,
        root=root,
        cwd=data.get("cwd", root),
        argv=tuple(data.get("command", [])),
        env=env,
        umask=data.get("umask", 0o022) & 0o777,
        environment=choice,
        inputs=inputs,
        stdin=data.get("stdin", {}).get("blob"),
        isolation=chosen,
        restored=tuple(restored),
        not_restored=tuple(lost),
        conditions=dataclasses.replace(held.conditions, covered=covered),
    )


def _check(data: schema.Record, root: str) -> None:
    """Raise RecordError for folders, words and variables that no process can have had."""
    for name, folder in (("project", root), ("working", data.get("cwd", root))):
        if (
            not folder.startswith("/")
            or folder.startswith("//")
            or os.path.normpath(folder) != folder
            or "\0" in folder
        ):
            raise RecordError(f"{folder!r} cannot have been the {name} folder of {data.get('id')}", hint=_CHANGED)
    variables = data.get("env", {})
    words = [*data.get("command", []), *variables.values(), *variables]
    if any("\0" in word for word in words) or any("=" in name or not name for name in variables):
        raise RecordError(f"the command or variables of {data.get('id')} cannot have been used", hint=_CHANGED)


def _trusted(record: Record, root: str) -> list[schema.Input]:
    """The inputs, without those of which the code tree has an older content than the copy."""
    items = record.inputs()
    if not any(item.get("note") == schema.COPIED_LATE for item in items):
        return items
    tree = record.tree()
    kept = {f"{root.rstrip('/')}/{file['path']}" for file in tree["files"]} if tree else set()
    return [item for item in items if item.get("note") != schema.COPIED_LATE or item["path"] not in kept]


def _first_seen(items: list[schema.Input]) -> list[schema.Input]:
    """One entry a path, as it was when it was read first: that is what the failure depends on."""
    first: dict[str, schema.Input] = {}
    for item in items:
        known = first.get(item.get("path", ""))
        if known is None or (known.get("missing") and not item.get("missing")):
            first[item.get("path", "")] = item
    return [
        item
        for path, item in first.items()
        if path.startswith("/") and os.path.normpath(path) == path and "\0" not in path and item.get("how") != "listed"
    ]


def _input(item: schema.Input, root: str, code: CodeChoice) -> InputPlan:
    path = item["path"]
    below = is_below(path, root)
    if item.get("missing"):
        # What a fix adds to the working tree must be seen by it.
        return InputPlan(path, "here" if below and code == "working-tree" else "hide")
    if below and code == "working-tree" and PurePosixPath(path).suffix in SETTINGS:
        return InputPlan(path, "here")
    if item.get("blob"):
        return InputPlan(path, "put", item["blob"], item.get("mode", 0o600), item.get("mtime_ns"))
    return InputPlan(path, "here" if _same_here(item) else "lost")


def _same_here(item: schema.Input) -> bool:
    """Whether this machine has the very content that was read there."""
    file = Path(item["path"])
    try:
        if "sha256" not in item or not file.is_file() or file.stat().st_size != item.get("size"):
            return False
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == item["sha256"]
    except OSError:
        return False


def is_below(path: str, folder: str) -> bool:
    """Whether `path` is `folder` or lies in it, by name."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _variables(data: schema.Record) -> tuple[dict[str, str], list[str]]:
    """The recorded variables, and the names of those whose value was hidden."""
    env = dict(data.get("env", {}))
    hidden = sorted({r["name"] for r in data.get("redactions", []) if r["where"] == "env" and r["name"] in env})
    for name in hidden:
        if not env[name] or env[name].startswith(("<redacted", "[redacted")):
            env[name] = f"dsenv-placeholder-{name.lower()}"
    if "hash_seed" in data:
        env["PYTHONHASHSEED"] = data["hash_seed"]
    return env, hidden


def _accounts(
    record: Record, choice: Choice, code: CodeChoice, inputs: tuple[InputPlan, ...]
) -> tuple[list[Item], list[Item]]:
    """What is brought back and what is not, as far as it can be said beforehand."""
    data = record.data
    restored = [Item("argv", " ".join(data.get("command", []))[:200], "as recorded")]
    lost: list[Item] = []
    (restored if choice.how != "machine" else lost).append(Item("environment", choice.how, choice.note))
    _account_for_code(data, code, restored, lost)
    for item in inputs:
        note, where = _INPUT_NOTES[item.action]
        (restored if where else lost).append(Item("input", item.path, note))
    restored.append(Item("env", f"{len(data.get('env', {}))} variables", "as recorded"))
    if "hash_seed" in data:
        restored.append(Item("hash-seed", data["hash_seed"], "PYTHONHASHSEED"))
    stdin = data.get("stdin", {})
    if stdin.get("blob"):
        note = f"{stdin.get('size', 0)} bytes" + (", the beginning only" if stdin.get("truncated") else "")
        note += ", with the secrets in it hidden" if stdin.get("redacted") else ""
        whole = not stdin.get("truncated") and not stdin.get("redacted")
        (restored if whole else lost).append(Item("stdin", stdin.get("kind", ""), note))
    elif stdin.get("kind") == "terminal":
        lost.append(Item("stdin", "terminal", "what was typed is not recorded; it is empty here"))
    restored += listings.account(record.inputs())
    for drawn, hidden in (randomness.account(record), objects.account(record.inputs())):
        restored += drawn
        lost += hidden
    lost += [Item("record", "", trouble) for trouble in data.get("trouble", [])]
    if record.status == "lost":
        lost.append(Item("record", "", "it was lost: what it did after the last moment of its black box is not known"))
    return restored, lost


_INPUT_NOTES: dict[str, tuple[str, bool]] = {
    "put": ("the recorded content, at its recorded path", True),
    "hide": ("was not there, and is not there now", True),
    "here": ("this machine's file", True),
    "lost": ("its content was not kept, and this machine has another or none", False),
}


def _account_for_code(data: schema.Record, code: CodeChoice, restored: list[Item], lost: list[Item]) -> None:
    recorded = data.get("code")
    if code == "working-tree":
        restored.append(Item("code", os.fspath(working_tree.find()), "the working tree as it is now"))
    elif recorded and recorded["tree"]:
        vcs: dict[str, Any] = recorded["vcs"] or {}
        state = f", commit {str(vcs.get('commit'))[:10]}" if vcs.get("commit") else ""
        dirty = " with its uncommitted changes" if vcs.get("dirty") else ""
        restored.append(Item("code", recorded["root"], f"{recorded['files']} files as they ran{state}{dirty}"))
    if recorded and code == "recorded":
        lost += [
            Item("code", skip.get("path", ""), f"not in the record: {skip.get('reason', '')}")
            for skip in recorded["skipped"]
            if skip.get("reason") != "ignored"
        ]
