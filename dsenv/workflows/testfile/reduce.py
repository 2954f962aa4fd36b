"""Leaves out of a draft what the failure does not need."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from dsenv.events import Cancelled, Emit, Progress
from dsenv.workflows.ddmin import Minimal, Oracle, ddmin
from dsenv.workflows.reproduce.plan import is_below
from dsenv.workflows.testfile.model import DataFile, Draft

_LARGE = 32 << 10  # bytes; what is smaller is read by people as it is
_TOO_LARGE = 16 << 20
_MEMORY = frozenset(("as", "data"))  # never tried without: a program that needs them takes all that there is
_HEADED = (".csv", ".tsv")
# Whether a draft fails as production did; None when that cannot be said.
Fails = Callable[[Draft], bool | None]

T = TypeVar("T")


class Reducer:
    """Reduces one draft within a time. ^C ends it with the smallest draft so far."""

    def __init__(self, fails: Fails, *, seconds: float, emit: Emit) -> None:
        self._fails, self._emit = fails, emit
        self._deadline = time.monotonic() + seconds
        self._interrupted, self._complete = False, True
        self._trials = 0

    def reduce(self, draft: Draft, named: frozenset[str], content: Callable[[str], bytes]) -> Draft:
        """The draft without what it does not need. `named` are words of the code, `content` reads a blob."""
        smaller = self._settings(draft, named)
        smaller = self._files(smaller)
        for file in smaller.files:
            if _LARGE < file.size <= _TOO_LARGE:
                smaller = self._lines(smaller, file, content(file.blob))
        if smaller.stdin is not None and _LARGE < len(smaller.stdin) <= _TOO_LARGE:
            smaller = self._stdin(smaller, smaller.stdin)
        if not self._complete:
            why = "it was interrupted" if self._interrupted else "the time for it was over"
            smaller = _said(smaller, f"no more, because {why}")
        return smaller

    def _goes_on(self) -> bool:
        return not self._interrupted and time.monotonic() < self._deadline

    def _minimal(self, items: Sequence[T], oracle: Oracle[T]) -> Minimal[T]:
        found = ddmin(items, oracle, go_on=self._goes_on)
        self._complete &= found.complete and not self._interrupted
        return found

    def _try(self, draft: Draft) -> bool | None:
        self._trials += 1
        self._emit(Progress("reduce", self._trials, 0, "trials"))
        try:
            return self._fails(draft)
        except (Cancelled, KeyboardInterrupt):
            self._interrupted = True
            return None

    def _settings(self, draft: Draft, named: frozenset[str]) -> Draft:
        """Variables and limits. What the code names stays: once mended, it may read what it did not get to."""
        kept = [pair for pair in draft.env if pair[0] in named]
        items: list[tuple[str, object]] = [("env", pair) for pair in draft.env if pair[0] not in named]
        items += [("limits", pair) for pair in draft.limits if pair[0] not in _MEMORY]
        items += [("umask", draft.umask)] if draft.umask is not None else []
        items += [("processors", draft.processors)] if draft.processors else []
        always = tuple(pair for pair in draft.limits if pair[0] in _MEMORY)

        def with_only(chosen: tuple[tuple[str, object], ...]) -> Draft:
            env = [*kept, *(value for kind, value in chosen if kind == "env")]
            limits = (*always, *(value for kind, value in chosen if kind == "limits"))
            return dataclasses.replace(
                draft,
                env=tuple(sorted(env)),  # type: ignore[arg-type]
                limits=limits,  # type: ignore[arg-type]
                umask=draft.umask if ("umask", draft.umask) in chosen else None,
                processors=draft.processors if ("processors", draft.processors) in chosen else 0,
            )

        found = self._minimal(items, lambda chosen: self._try(with_only(chosen)))
        smaller = with_only(found.items)
        gone = len(draft.env) - len(smaller.env)
        return _said(smaller, f"{gone} of {len(draft.env)} environment variables") if gone else smaller

    def _files(self, draft: Draft) -> Draft:
        def with_only(files: tuple[DataFile, ...]) -> Draft:
            return dataclasses.replace(draft, files=files)

        found = self._minimal(draft.files, lambda files: self._try(with_only(files)))
        gone = len(draft.files) - len(found.items)
        smaller = with_only(found.items)
        if draft.listed and self._goes_on() and self._try(dataclasses.replace(smaller, listed=())):
            smaller = dataclasses.replace(smaller, listed=())
        return _said(smaller, f"{gone} of {len(draft.files)} files that were read") if gone else smaller

    def _lines(self, draft: Draft, file: DataFile, content: bytes) -> Draft:
        def with_content(data: bytes) -> Draft:
            changed = dataclasses.replace(file, content=data)
            return dataclasses.replace(draft, files=tuple(changed if f is file else f for f in draft.files))

        head = 1 if file.path.lower().endswith(_HEADED) else 0
        made = self._text(content, head, with_content)
        name = file.path[len(draft.root.rstrip("/")) + 1 :] if is_below(file.path, draft.root) else file.path
        return _said(made[0], f"all but {made[1]:,} of the {made[2]:,} lines of {name}") if made else draft

    def _stdin(self, draft: Draft, content: bytes) -> Draft:
        made = self._text(content, 0, lambda data: dataclasses.replace(draft, stdin=data))
        return _said(made[0], f"all but {made[1]:,} of the {made[2]:,} lines of standard input") if made else draft

    def _text(self, content: bytes, head: int, with_content: Callable[[bytes], Draft]) -> tuple[Draft, int, int] | None:
        """The draft with fewer lines of a text, how many, and of how many; None when it is no text."""
        if b"\0" in content or not _is_utf8(content):
            return None
        lines = content.splitlines(keepends=True)
        if len(lines) <= head + 1:
            return None

        def joined(chosen: tuple[bytes, ...]) -> Draft:
            return with_content(b"".join((*lines[:head], *chosen)))

        found = self._minimal(lines[head:], lambda chosen: self._try(joined(chosen)))
        count = head + len(found.items)
        return (joined(found.items), count, len(lines)) if count < len(lines) else None


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _said(draft: Draft, words: str) -> Draft:
    return dataclasses.replace(draft, reduced=(*draft.reduced, words))
