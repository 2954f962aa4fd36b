"""Errors become messages and exit codes in one place; stdout stays data."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dsenv import errors, events
from dsenv.agent.store import pages
from dsenv.agent.store.folder import FolderWriter
from dsenv.cli import diagnostics, output
from dsenv.cli.main import COMMANDS, main
from dsenv.testing.records import RecordBuilder


def leaves(kind: type[errors.DsenvError]) -> list[type[errors.DsenvError]]:
    return [kind, *(leaf for child in kind.__subclasses__() for leaf in leaves(child))]


def test_every_error_has_a_documented_code() -> None:
    # Adapters that are loaded may have kinds of their own below these; they have the code of what they are below.
    for kind in [item for item in leaves(errors.DsenvError)[1:] if item.__module__ == errors.__name__]:
        assert diagnostics.exit_code(kind("x")) in {2, 3, 4, 5, 6}, kind
    assert set(diagnostics.EXIT_CODES) == {0, 1, 2, 3, 4, 5, 6, 70, 125, 130}


@pytest.mark.parametrize("verb", COMMANDS)
def test_every_command_has_help_with_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--help"]) == 0
    text = capsys.readouterr().out
    if "Commands:" in text:
        return  # a group: its own commands have the examples
    assert "Example: dsenv " in text
    assert verb in text.split("Example:")[1]


@pytest.mark.parametrize("verb", COMMANDS)
def test_every_command_has_json(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    main([verb, "--help"])
    text = capsys.readouterr().out
    assert "--json" in text or "Commands:" in text


def test_usage_errors_are_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "--nope"]) == 2
    assert main(["rums"]) == 2
    captured = capsys.readouterr()
    assert "Did you mean 'runs'" in captured.err and captured.out == ""


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    from dsenv import __version__

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"dsenv {__version__}\n"


def test_an_error_says_what_and_what_next(capsys: pytest.CaptureFixture[str]) -> None:
    diagnostics.report(errors.StateError("the disk is full", hint="free some space", detail="a\nb"))
    assert capsys.readouterr().err == "error: the disk is full\n  a\n  b\n  next: free some space\n"


def test_errors_as_events(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", "x", "--no-tui", "--progress", "json"]) == 2
    event = json.loads(capsys.readouterr().err)
    assert (event["event"], event["exit"]) == ("error", 2)


def test_a_bug_goes_to_the_log_and_exits_70(isolation: Path) -> None:
    code = (
        "import dsenv.workflows.runs as w\n"
        "def broken(*a, **k): raise KeyError('inside')\n"
        "w.matching = broken\n"
        "from dsenv.cli.main import main\n"
        "raise SystemExit(main(['runs']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 70 and done.stdout == ""
    assert "a bug in dsenv: KeyError" in done.stderr and "Traceback" not in done.stderr
    log = isolation / ".local/state/dsenv/dsenv.log"
    assert str(log) in done.stderr and "inside" in log.read_text()


def test_a_reader_that_went_away_is_no_error(tmp_path: Path) -> None:
    script = f"{sys.executable} -m dsenv show --help | head -c 10; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode in {0, 1, 141} and "Traceback" not in done.stderr


def test_progress_lines_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    for mode in ("plain", "json", "none"):
        with diagnostics.listener(diagnostics.mode(mode)) as emit, events.step(emit, "lock", "resolve") as note:
            emit(events.Progress("lock", 1, 3, "packages"))
            emit(events.Output("stdout", b"raw\n"))
            emit(events.Notice("careful", "warning"))
            note.note = "3 packages"
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "raw" and lines[1] == "warning: careful"
    assert lines[2].startswith("  ✓ resolve: 3 packages  (")
    kinds = [json.loads(line)["event"] for line in lines[3:]]
    assert kinds == ["step-started", "progress", "output", "notice", "step-finished"]
    with pytest.raises(errors.UsageError, match="--progress loud"):
        diagnostics.mode("loud")


def test_a_failed_step_is_told_and_raised() -> None:
    told: list[events.Event] = []
    with pytest.raises(ValueError, match="x"), events.step(told.append, "s", "title"):
        raise ValueError("x")
    assert isinstance(told[-1], events.StepFailed) and told[-1].error == "x"


def test_nothing_is_asked_without_a_terminal() -> None:
    assert not diagnostics.interactive(as_json=False, assume_yes=False)
    assert not diagnostics.interactive(as_json=True, assume_yes=False)


def test_a_live_line_is_cleared_before_other_output() -> None:
    """On a terminal the moving line must not be left behind what is printed next."""
    code = (
        "from dsenv.cli.diagnostics import Lines\nfrom dsenv import events\n"
        "lines = Lines(live=True)\n"
        "lines(events.StepStarted('a', 'work'))\nlines(events.Output('stdout', b'out\\n'))\nlines.close()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stderr == "  … work".encode() + b"\r\x1b[2Kout\n"


def test_json_values(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    output.write_json({"path": tmp_path, "bytes": b"\xff", "list": {1}, "nested": events.Notice("x")})
    value = json.loads(capfd.readouterr().out)
    assert value == {"path": str(tmp_path), "bytes": "\ufffd", "list": [1], "nested": {"message": "x", "level": "info"}}


def test_odd_file_names_can_be_printed(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    output.write(os.fsdecode(b"caf\xe9"))
    assert capfdbinary.readouterr().out == b"caf\xe9\n"


def test_tables_are_aligned() -> None:
    assert output.table(("A", "B"), [("1", "22"), ("333", "4")]) == "A    B\n1    22\n333  4"


def test_long_lists_come_in_parts_with_the_same_columns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ids = [f"20260301T00{number // 60:02}{number % 60:02}-000000-abcd" for number in range(1250)]
    lines = {name: json.dumps({"id": name, "started": 1, "command": ["work", name[9:15]]}).encode() for name in ids}
    pages.write(FolderWriter(str(tmp_path)), "index/2026/03/01/failed/", lines)
    assert main(["runs", "--store", str(tmp_path), "--limit", "1200"]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert [row.split()[0] for row in rows] == ids[:49:-1]
    assert {row.index("work ") for row in rows} == {head.index("COMMAND")}


def test_show_writes_the_output_as_it_was(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    builder = RecordBuilder(tmp_path)
    builder.chunks = [(1, b"one\n"), (2, b"\xff\x1b[31mtwo"), (1, b"three")]
    builder.write()
    assert main(["show", "last", "--store", str(tmp_path), "--output"]) == 0
    found = capfdbinary.readouterr()
    assert (found.out, found.err) == (b"one\nthree", b"\xff\x1b[31mtwo")
    assert main(["show", "last", "--store", str(tmp_path), "--output", "--json"]) == 2
