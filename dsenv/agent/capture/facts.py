"""What the command could import, and where it ran."""

from __future__ import annotations

import os
import re

from dsenv.agent import distributions
from dsenv.agent.light import TYPE_CHECKING
from dsenv.agent.store.base import Writer

if TYPE_CHECKING:
    from typing import Any, Dict, List, Mapping, Optional

    from dsenv.agent.schema import Distribution, EnvironmentFacts

_LOCKS = ("pylock.toml",)
_LOCK_LIMIT = 64 << 20
# Present in environments whatever the lock says.
_TOOLS = frozenset(["pip", "setuptools", "wheel", "uv"])


def environment(
    python: Optional[Mapping[str, Any]], lock: Optional[bytes], writer: Optional[Writer], project: Optional[str]
) -> EnvironmentFacts:
    """The facts about a Python that said what it is; `lock` are the bytes of the project's lock."""
    facts: EnvironmentFacts = {"lock": None, "lock_id": None}
    if lock is not None and writer is not None:
        facts["lock"] = writer.blob(lock)
        facts["lock_id"] = lock_id(lock)
    if python is not None:
        names = ("executable", "version", "implementation", "prefix", "base_prefix", "path")
        facts["python"] = {name: python[name] for name in names if name in python}
        facts["distributions"] = distributions.scan([str(entry) for entry in python.get("path", [])])
        if lock is not None:
            facts["satisfied"] = satisfied(facts["distributions"], lock, project)
    return facts


def read_lock(asked: str, root: str) -> Optional[bytes]:
    """The project's lock, None when there is none."""
    for path in [asked] if asked else [os.path.join(root, name) for name in _LOCKS]:
        try:
            with open(path, "rb") as file:
                data = file.read(_LOCK_LIMIT + 1)
        except OSError:
            continue
        return data if len(data) <= _LOCK_LIMIT else None
    return None


def lock_id(lock: bytes) -> Optional[str]:
    """The environment id that dsenv wrote into the lock."""
    found = re.search(rb"^\[tool\.dsenv\][^\[]*?^id\s*=\s*\"([0-9a-f]{16,})\"", lock, re.MULTILINE | re.DOTALL)
    return found.group(1).decode() if found else None


def packages(lock: bytes) -> Dict[str, Optional[str]]:
    """Name to version of the packages of a PEP 751 lock that apply everywhere; None for those with a condition."""
    found: Dict[str, Optional[str]] = {}
    for part in re.split(rb"^\[\[packages\]\]\s*$", lock, flags=re.MULTILINE)[1:]:
        block = re.split(rb"^\[", part, maxsplit=1, flags=re.MULTILINE)[0]
        values = dict(re.findall(rb"^(name|version|marker)\s*=\s*[\"'](.*)[\"']\s*$", block, flags=re.MULTILINE))
        if b"name" in values:
            name = distributions.canonical(values[b"name"].decode("utf-8", "replace"))
            conditional = b"marker" in values or name in found
            found[name] = None if conditional else values.get(b"version", b"").decode("utf-8", "replace")
    return found


def satisfied(present: List[Distribution], lock: bytes, project: Optional[str]) -> bool:
    """Whether what can be imported is what the lock says, as far as it can be said without evaluating markers."""
    locked = packages(lock)
    if not locked:
        return not [item for item in present if distributions.canonical(item["name"]) not in _TOOLS]
    own = _TOOLS | {distributions.canonical(project or "")}
    versions = {distributions.canonical(item["name"]): item["version"] for item in present}
    extra = [name for name in versions if name not in locked and name not in own]
    return not extra and all(
        versions.get(name) == version if version else name in locked for name, version in locked.items() if version
    )


def place(
    collected: Mapping[str, Any], python: Optional[Mapping[str, Any]], ulimits: Mapping[str, List[int]]
) -> Dict[str, Any]:
    """A fingerprint that was collected here, for the command: interpreter and limits are the command's, not ours."""
    facts = dict(collected)
    if ulimits:
        facts["limits"] = dict(facts.get("limits", {}), ulimit=dict(ulimits))
    ours = facts.pop("python", {})
    if python is not None:
        same = os.path.realpath(str(python.get("executable", ""))) == os.path.realpath(str(ours.get("executable", "")))
        facts["python"] = {
            **(ours if same else {}),
            **{name: python[name] for name in ("version", "implementation", "executable") if name in python},
        }
    return facts
