"""What the agent remembers of a tree between connections."""

from __future__ import annotations

import json
import os
from typing import Any, Dict, List

from dsenv.agent import tree
from dsenv.agent.apply import Tree
from dsenv.agent.jobs import check_id

_FILE = "manifest.json"


class TreeState:
    """A tree and the folder that keeps its manifest: `trees/<name>`, or a snapshot's own."""

    def __init__(self, name: str, folder: str, value: Tree) -> None:
        self.name, self.folder, self.tree = name, folder, value

    @classmethod
    def load(cls, state: str, name: str, root: str) -> "TreeState":
        """The main tree called `name` at `root`; empty when it is new or its manifest is damaged."""
        return cls._read(name, os.path.join(state, "trees", check_id(name)), root)

    @classmethod
    def of_root(cls, state: str, root: str) -> "TreeState":
        """The tree whose files are at `root`."""
        name = check_id(os.path.basename(root))
        parent = os.path.dirname(root)
        inside = os.path.dirname(parent) == os.path.join(state, "snapshots")
        return cls._read(name, parent if inside else os.path.join(state, "trees", name), root)

    @classmethod
    def _read(cls, name: str, folder: str, root: str) -> "TreeState":
        os.makedirs(root, 0o700, exist_ok=True)
        entries: Dict[str, tree.Entry] = {}
        stats: Dict[str, tree.Stat] = {}
        try:
            with open(os.path.join(folder, _FILE)) as source:
                value = json.load(source)
            entries = tree.entries_from_json(value["entries"])
            stats = {str(path): tree.Stat(*row) for path, row in value["stats"].items()}
        except (OSError, ValueError, KeyError, TypeError, tree.UnsafePathError):
            entries, stats = {}, {}  # the client sends everything again
        return cls(name, folder, Tree(root, os.path.join(folder, "kept"), entries, stats))

    def forget_changed(self) -> List[str]:
        """Drop from the manifest what is no longer as it was pushed. Returns those paths."""
        changed = self.tree.changed()
        for path in changed:
            self.tree.entries.pop(path)
            self.tree.stats.pop(path, None)
        return changed

    def moved(self, folder: str, root: str) -> "TreeState":
        """The same tree, copied to another place: its files must be looked at again."""
        return TreeState(self.name, folder, Tree(root, os.path.join(folder, "kept"), dict(self.tree.entries), {}))

    def save(self) -> None:
        """Write the manifest in one step."""
        os.makedirs(self.folder, 0o700, exist_ok=True)
        value: Dict[str, Any] = {
            "entries": tree.entries_to_json(self.tree.entries),
            "stats": {path: list(stat) for path, stat in self.tree.stats.items()},
        }
        file = os.path.join(self.folder, _FILE)
        with open(file + "~", "w") as out:
            json.dump(value, out)
        os.replace(file + "~", file)
