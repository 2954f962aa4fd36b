"""The application: owns the state, hands work to the bridge, and lets the screen render."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from textual.app import App, SuspendNotSupported
from textual.binding import Binding, BindingType

from dsenv.errors import DsenvError, UsageError
from dsenv.events import Cancel, Cancelled, ignore
from dsenv.tui import model
from dsenv.tui.bridge import Bridge, Job, Tell, Told
from dsenv.tui.screens.ask import AskScreen
from dsenv.tui.screens.run import RunScreen
from dsenv.tui.screens.runs import RunsScreen
from dsenv.workflows import edit, reproduce, testfile
from dsenv.workflows import show as show_workflow
from dsenv.workflows.reproduce.model import CodeChoice
from dsenv.workflows.runs import Wanted
from dsenv.workflows.runs import runs as list_runs
from dsenv.workflows.show import RunDetails

_FIRST = 200
_LISTED = 10_000


class DsenvApp(App[int]):
    """Failed runs, and one of them in depth. `first` is a run to open at once."""

    CSS_PATH = "dsenv.tcss"
    TITLE = "dsenv"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+q", "leave", "Quit", show=False)]

    def __init__(self, first: str | None, store: str | None) -> None:
        super().__init__()
        self.animation_level = "none"
        self.state = model.State()
        self._first = first
        self._store = store
        self._bridge = Bridge(self)
        self._lister = Bridge(self)  # a long list must not keep a run from being opened,
        self._scanner = Bridge(self)  # nor must a long output

    def on_mount(self) -> None:
        """Show the list, and the run that was asked for on top of it."""
        self.push_screen(RunsScreen())
        if self._first:
            self.open_run(self._first)
        else:
            self.list_runs()

    def on_unmount(self) -> None:
        """Nothing that was started here goes on without a reader."""
        self._bridge.close()
        self._lister.close()
        self._scanner.close()

    def on_told(self, message: Told) -> None:
        """Fold a message into the state and render it."""
        self.update(message.told)
        match message.told:
            case model.RunOpened(details=details):
                if not isinstance(self.screen, RunScreen):
                    self.push_screen(RunScreen())
                self._scan(details)
            case model.Prepared():
                self._debug()
            case model.WorkEnded(problem=model.Problem()) if self._first and self.state.details is None:
                # The run on the command line could not be read: its error is shown above the list.
                self._first = None
                self.list_runs(keep_problem=True)

    def update(self, told: model.Message) -> None:
        """The one place where the state changes."""
        self.state = model.apply(self.state, told)
        screen = self.screen
        # A screen that is not composed yet renders the state when it is.
        if isinstance(screen, (RunsScreen, RunScreen)) and screen.ready:
            screen.render_state(self.state)

    # What screens ask for.

    def list_runs(self, *, keep_problem: bool = False) -> None:
        """Read the list of failed runs."""
        problem = self.state.problem if keep_problem else None

        def job(emit: Tell, cancel: Cancel) -> model.Message:
            # The newest are shown at once; the rest follows.
            emit(model.RunsListed(list_runs(self._store, Wanted(failed=True, limit=_FIRST))))
            cancel.check()
            return model.RunsListed(list_runs(self._store, Wanted(failed=True, limit=_LISTED)))

        if not self._lister.busy:
            self._lister.start(job)
        if problem:
            self.update(model.WorkEnded(problem))

    def open_run(self, run: str) -> None:
        """Read one run and show it."""
        self._work("load", run, lambda emit, cancel: model.RunOpened(show_workflow.show(run, self._store)))

    def _scan(self, details: RunDetails) -> None:
        """Find the lines of the output; its end is shown meanwhile."""
        lines, run = details.lines, details.record["id"]
        if lines is None:
            return

        def job(emit: Tell, cancel: Cancel) -> model.Message:
            try:
                lines.scan(cancel.check)
            except (DsenvError, Cancelled):
                return model.OutputScanned(run, None)  # the end is shown, as far as it can be read
            return model.OutputScanned(run, lines)

        self._scanner.close()
        self._scanner.start(job)

    def reproduce(self, code: CodeChoice) -> None:
        """Reproduce the run that is open, or run the working tree on its inputs."""
        run = self._open_run_id()

        def job(emit: Tell, cancel: Cancel) -> model.Message:
            record = reproduce.open_record(run, self._store)
            return model.Reproduced(reproduce.reproduce(record, reproduce.Options(code=code), emit=emit, cancel=cancel))

        self._work("reproduce" if code == "recorded" else "working-tree", run, job)

    def cancel_work(self) -> None:
        """Ask the work in progress to stop."""
        if self.state.work:
            self._bridge.cancel()
            self.update(model.CancelAsked())

    def stop_in_frame(self) -> None:
        """Stop in the failing frame with pdb on the real terminal, once its environment is there."""
        run = self._open_run_id()

        def job(emit: Tell, cancel: Cancel) -> model.Message:
            reproduce.prepare(reproduce.open_record(run, self._store), emit=emit, cancel=cancel)
            return model.Prepared()

        self._work("prepare", run, job)

    def _debug(self) -> None:
        """Give the terminal to pdb; the verdict comes back here."""
        try:
            record = reproduce.open_record(self._open_run_id(), self._store)
            with self._terminal():
                result = reproduce.reproduce(record, reproduce.Options(debug=True), emit=ignore, cancel=Cancel())
            self.update(model.Reproduced(result))
        except DsenvError as error:
            self.update(model.WorkEnded(model.Problem(error.message, error.hint or "")))

    def ask_for_test(self) -> None:
        """Ask where the run that is open is to be saved as a test."""
        if self.state.details is None or self._bridge.busy:
            return
        try:
            default = testfile.default_file(self.state.details.record)
        except DsenvError as error:
            self.update(model.WorkEnded(model.Problem(error.message, error.hint or "")))
            return
        self.push_screen(AskScreen("Save as a pytest in", default), self._save_test)

    def _save_test(self, file: str | None) -> None:
        if not file:
            return
        run = self._open_run_id()

        def job(emit: Tell, cancel: Cancel) -> model.Message:
            record = reproduce.open_record(run, self._store)
            wanted = testfile.Options(Path(file).expanduser())
            return model.SavedTest(testfile.save(record, wanted, emit=emit, cancel=cancel))

        self._work("test", run, job)

    def edit(self) -> None:
        """Open the selected line in the editor, in the code that is here."""
        details, row = self.state.details, self.state.selected
        if details is None or row is None or row.frame is None:
            return
        try:
            code = details.record.get("code")
            root = code["root"] if code else details.record.get("cwd", "/")
            file = edit.local_file(row.frame["file"], root)
            with self._terminal():
                edit.edit(file, row.frame["line"])
        except DsenvError as error:
            self.update(model.WorkEnded(model.Problem(error.message, error.hint or "")))

    @contextmanager
    def _terminal(self) -> Iterator[None]:
        """The real terminal, for another program. Raises UsageError when there is none, or after Ctrl-C.

        The loop's own handler of Ctrl-C would end the application when it comes back.
        """
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            with self.suspend():
                yield
        except SuspendNotSupported as error:
            raise UsageError("this terminal cannot be given to another program", hint="use --no-tui") from error
        except KeyboardInterrupt as error:
            raise UsageError("interrupted") from error
        finally:
            signal.signal(signal.SIGINT, before)

    def action_leave(self) -> None:
        """Quit with the exit code that `reproduce` would have had."""
        last = self.state.reproductions[-1] if self.state.reproductions else None
        self.exit(0 if last is None or last.verdict == "same-failure" else 1)

    def _open_run_id(self) -> str:
        return self.state.details.record["id"] if self.state.details else ""

    def _work(self, kind: model.WorkKind, run: str, job: Job) -> None:
        if self._bridge.busy:
            return
        self.update(model.WorkStarted(kind, run))
        self._bridge.start(job)


def run(*, run: str | None, store: str | None) -> int:
    """Open the TUI; returns the exit code."""
    # Threads that read much must hand the interpreter over as soon as a key comes in.
    sys.setswitchinterval(0.0005)
    return DsenvApp(run, store).run() or 0
