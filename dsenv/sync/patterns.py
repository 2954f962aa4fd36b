"""Lines of a .gitignore, and their verdict on one path."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pathspec import GitIgnoreSpec

_FOLDER_MARK = "ps_d"


class Patterns:
    """Patterns in .gitignore syntax. False when there are none."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._items: list[tuple[re.Pattern[str], bool]] = []  # the last line first: it decides
        for pattern in reversed(list(GitIgnoreSpec.from_lines(lines).patterns)):
            regex = getattr(pattern, "regex", None)  # comments and empty lines have none
            if isinstance(regex, re.Pattern) and pattern.include is not None:
                self._items.append((regex, pattern.include))
        # Most paths are matched by nothing, which one expression finds out at once.
        self._any = re.compile("|".join(f"(?:{regex.pattern.replace(_GROUP, '(?:')})" for regex, _ in self._items))

    def __bool__(self) -> bool:
        return bool(self._items)

    def verdict(self, path: str) -> bool | None:
        """True: ignored; False: had back by `!`; None: no pattern says anything. A folder's path ends with a slash."""
        if not self._items or not self._any.search(path):
            return None
        return next((ignored for regex, ignored in self._items if _matches(regex, path)), None)


_GROUP = f"(?P<{_FOLDER_MARK}>"


def _matches(regex: re.Pattern[str], path: str) -> bool:
    """Whether a pattern of pathspec matches `path` itself.

    Its expressions also match what lies below a matched folder, which git leaves to the folder's own verdict: with
    `*.log` and `!b/` it ignores b/x.log. They mark the slash at a folder's end by the group `ps_d`.
    """
    if _FOLDER_MARK not in regex.groupindex:
        found = regex.search(path)
        return found is not None and not (regex.pattern.endswith("/") and found.end() == len(path))
    return any(match.start(_FOLDER_MARK) in {-1, len(path) - 1} for match in regex.finditer(path))
