"""Runs workflows in a worker thread and turns what they say into messages of the application."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.message import Message

from dsenv.errors import DsenvError
from dsenv.events import Cancel, Cancelled
from dsenv.tui import model

if TYPE_CHECKING:
    from textual.app import App

# What a workflow emits is a message too; a job may tell more than that.
Tell = Callable[[model.Message], None]
Job = Callable[[Tell, Cancel], model.Message]


class Told(Message):
    """Something for the reducer. Output floods, so a later piece of it may wait in one message with others."""

    def __init__(self, told: model.Message) -> None:
        super().__init__()
        self.told = told


class Bridge:
    """At most one workflow at a time. Widgets are never touched from its thread."""

    def __init__(self, app: App[int]) -> None:
        self._app = app
        self._thread: threading.Thread | None = None
        self._cancel = Cancel()

    @property
    def busy(self) -> bool:
        """Whether a workflow is running."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, job: Job) -> None:
        """Run `job` in a thread; its result, or the error it ended in, becomes a message."""
        self._cancel = Cancel()
        self._thread = threading.Thread(target=self._work, args=(job, self._cancel), name="dsenv-work", daemon=True)
        self._thread.start()

    def cancel(self) -> None:
        """Ask the workflow to stop; it says so itself when it has."""
        self._cancel.set()

    def close(self) -> None:
        """Stop the workflow and wait for it: what it started must not outlive the application."""
        self._cancel.set()
        if self._thread is not None:
            self._thread.join(timeout=10)

    def _work(self, job: Job, cancel: Cancel) -> None:
        try:
            self._post(job(self._post, cancel))
        except Cancelled:
            self._post(model.WorkEnded())
        except DsenvError as error:
            detail = f"\n{error.detail}" if error.detail else ""
            self._post(model.WorkEnded(model.Problem(error.message + detail, error.hint or "")))
        except Exception as error:  # noqa: BLE001 - a bug in a thread would leave the TUI waiting for ever
            self._post(model.WorkEnded(model.Problem(f"a bug in dsenv: {type(error).__name__}: {error}")))

    def _post(self, told: model.Message) -> None:
        self._app.post_message(Told(told))
