"""Builds the application and is the one place where errors become messages and exit codes."""

from __future__ import annotations

import itertools
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import FrameType
from typing import Annotated

import typer

from dsenv import __version__
from dsenv.cli import diagnostics
from dsenv.errors import DsenvError
from dsenv.events import Cancelled

# In the order of `dsenv --help`. Each lives in dsenv/cli/commands/<verb>.py as a function of that name, or as
# `register(app)` for a group.
COMMANDS: tuple[str, ...] = (
    "init",
    "lock",
    "diff",
    "doctor",
    "up",
    "ls",
    "status",
    "stop",
    "start",
    "resize",
    "down",
    "audit",
    "ssh",
    "forward",
    "code",
    "sync",
    "pull",
    "run",
    "ps",
    "logs",
    "attach",
    "cancel",
    "capture",
    "runs",
    "show",
    "agent",
    "reproduce",
    "demo",
)

# Verbs whose failures of our own exit with 125, so that they cannot be taken for the command's.
_PASS_THROUGH = frozenset({"run", "capture"})


def _version(wanted: bool) -> None:
    if wanted:
        from dsenv.cli import output

        output.write(f"dsenv {__version__}")
        raise typer.Exit


def build() -> typer.Typer:
    """The typer application with all commands. Their workflows are imported when they run."""
    app = typer.Typer(
        name="dsenv",
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @app.callback()
    def dsenv(
        version: Annotated[
            bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
        ] = False,
    ) -> None:
        """Prototype like production, and bring production's failures home.

        Start with: dsenv demo
        """

    for verb in COMMANDS:
        module = import_module(f"dsenv.cli.commands.{verb}")
        register = getattr(module, "register", None)
        if register:
            register(app)
        else:
            settings = getattr(module, "CONTEXT", None)
            app.command(verb, context_settings=settings)(getattr(module, verb))
    return app


def main(argv: list[str] | None = None) -> int:
    """Run a command line; returns the exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    verb = next((word for word in arguments if not word.startswith("-")), "")
    try:
        with _ended_as_interrupted():
            build()(args=arguments, prog_name="dsenv")
    except SystemExit as end:
        if end.__context__ is not None and isinstance(end.__context__.__cause__, KeyboardInterrupt):
            diagnostics.write("interrupted")  # typer made an exit code of it, without a word
        return _as_code(end.code)
    except DsenvError as error:
        diagnostics.report(error, as_json=_wants_json_events(arguments))
        return diagnostics.OWN_FAILURE if verb in _PASS_THROUGH else diagnostics.exit_code(error)
    except (KeyboardInterrupt, Cancelled):
        diagnostics.write("interrupted")
        return diagnostics.INTERRUPTED
    except BrokenPipeError:
        # The reader of stdout has seen enough; Python's own flush at exit must not complain again.
        sys.stdout = None
        return 141
    except Exception as error:  # noqa: BLE001 - the one place where an unforeseen error becomes a report
        diagnostics.report_bug(error)
        return diagnostics.OWN_FAILURE if verb in _PASS_THROUGH else diagnostics.BUG
    return 0


@contextmanager
def _ended_as_interrupted() -> Iterator[None]:
    """A request to end, as by `kill` or a closed terminal, cleans up as Ctrl-C does."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    names = ("SIGTERM", "SIGHUP")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    ours = [n for n in numbers if signal.getsignal(n) is signal.SIG_DFL]
    if threading.current_thread() is not threading.main_thread():
        ours = []
    for number in ours:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def _wants_json_events(arguments: list[str]) -> bool:
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return "--progress=json" in own or any(pair == ("--progress", "json") for pair in itertools.pairwise(own))


def _as_code(code: object) -> int:
    if code is None:
        return 0
    return code if isinstance(code, int) else 1
