"""Runs that failed elsewhere fail here again: captured for real, moved away, reproduced in both ways of restoring."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dsenv.agent.replay import namespace
from dsenv.cli.main import main
from dsenv.config import paths
from dsenv.errors import RecordError
from dsenv.events import Cancel, Cancelled, Event, Output, ignore
from dsenv.runs.index import newest
from dsenv.runs.store import open_store
from dsenv.workflows import reproduce as workflow
from dsenv.workflows.reproduce.model import Isolation
from tests.measuring import unmeasured


class Production:
    """A folder that plays a production machine, with a store beside it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "production" / "app"
        self.data = folder / "production" / "data"
        self.store = folder / "store"
        self.root.mkdir(parents=True)
        self.data.mkdir()
        (self.root / "pyproject.toml").write_text("")

    def write(self, program: str, name: str = "job.py") -> None:
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_text(program)

    def run(
        self, *argv: str, stdin: bytes = b"", env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """Run under capture, as production would."""
        words = [sys.executable, "-m", "dsenv", "capture", "--store", str(self.store), "--", *argv]
        return subprocess.run(
            words,
            cwd=self.root,
            input=stdin,
            capture_output=True,
            check=False,
            env=unmeasured() | (env or {}),
            timeout=60,
        )

    def vanish(self) -> None:
        """The machine is gone; only the store is left."""
        shutil.rmtree(self.root.parent)

    def record(self) -> Any:
        run = next(newest(open_store(str(self.store))))
        return workflow.open_record(run.id, str(self.store))


@pytest.fixture
def production(tmp_path: Path) -> Production:
    return Production(tmp_path)


@pytest.fixture(params=["namespace", "redirect"])
def way(request: pytest.FixtureRequest) -> Isolation:
    chosen: Isolation = request.param
    if chosen == "namespace" and not namespace.available():
        pytest.skip("this machine refuses mount namespaces")
    return chosen


def reproduce(production: Production, way: Isolation, **options: Any) -> workflow.Reproduction:
    settings = workflow.Options(isolation=way, **options)
    return workflow.reproduce(production.record(), settings, emit=ignore, cancel=Cancel())


READS_BOTH = """
import sys, pathlib
number = int(pathlib.Path("rows.txt").read_text())
other = open(sys.argv[1]).read()
raise ValueError(f"{other.strip()} does not fit {number}")
"""


def test_code_and_inputs_come_back_when_the_machine_is_gone(production: Production, way: Isolation) -> None:
    production.write(READS_BOTH)
    (production.root / "rows.txt").write_text("7")
    (production.data / "x.txt").write_text("drift\n")
    failed = production.run(sys.executable, "job.py", str(production.data / "x.txt"))
    assert failed.returncode == 1 and b"ValueError: drift does not fit 7" in failed.stderr
    production.vanish()
    result = reproduce(production, way)
    assert (result.verdict, result.exit) == ("same-failure", 1), result
    assert result.observed == result.recorded
    assert {item.name for item in result.restored if item.what == "input"} == {
        str(production.root / "rows.txt"),
        str(production.data / "x.txt"),
    }
    assert not production.root.parent.exists()


def test_what_was_read_counts_not_what_is_there_now(production: Production, way: Isolation) -> None:
    production.write(READS_BOTH)
    (production.root / "rows.txt").write_text("7")
    (production.data / "x.txt").write_text("bad")
    production.run(sys.executable, "job.py", str(production.data / "x.txt"))
    (production.root / "rows.txt").write_text("no number at all")
    (production.data / "x.txt").write_text("changed since")
    assert reproduce(production, way).verdict == "same-failure"
    assert (production.data / "x.txt").read_text() == "changed since"


def test_a_file_that_was_missing_is_missing_again(production: Production, way: Isolation) -> None:
    production.write("open(__import__('sys').argv[1])")
    gone = production.data / "gone.csv"
    assert production.run(sys.executable, "job.py", str(gone)).returncode == 1
    gone.write_text("it came later")
    result = reproduce(production, way)
    assert result.verdict == "same-failure", (result.recorded, result.observed)
    assert result.recorded is not None and result.recorded["type"] == "FileNotFoundError"
    assert gone.read_text() == "it came later"


def test_stdin_arguments_and_variables(production: Production, way: Isolation) -> None:
    production.write("import sys, os; raise SystemError(sys.stdin.read() + os.environ['MODE'] + sys.argv[1])")
    production.run(sys.executable, "job.py", "a b'\"$x\n", stdin=b"from stdin", env={"MODE": "strict"})
    production.vanish()
    result = reproduce(production, way)
    assert result.verdict == "same-failure"
    assert result.recorded is not None and "from stdinstricta b" in (result.recorded["message"] or "")


def test_a_secret_gets_a_placeholder_and_is_said(production: Production, way: Isolation) -> None:
    production.write("import os; raise KeyError(len(os.environ['DB_PASSWORD']) > 0)")
    production.run(sys.executable, "job.py", env={"DB_PASSWORD": "hunter2-and-more"})
    result = reproduce(production, way)
    assert result.verdict == "same-failure"
    assert [item.name for item in result.not_restored if item.what == "env"] == ["DB_PASSWORD"]
    stored = b"".join(file.read_bytes() for file in production.store.rglob("*") if file.is_file())
    assert b"hunter2" not in stored


def test_exit_codes_and_successes(production: Production, way: Isolation) -> None:
    production.write("import sys; sys.exit(int(sys.argv[1]))")
    production.run(sys.executable, "job.py", "7")
    result = reproduce(production, way)
    assert (result.verdict, result.exit) == ("same-failure", 7)
    production.run(sys.executable, "job.py", "0")
    assert reproduce(production, way).verdict == "passed"


def test_a_different_failure_and_its_differences(production: Production, way: Isolation) -> None:
    """The content was too large to keep, and the file is another one now."""
    production.write("import sys; raise ValueError(open(sys.argv[1]).read(5))")
    (production.data / "x").write_bytes(b"first" + b"\0" * (65 << 20))
    production.run(sys.executable, "job.py", str(production.data / "x"))
    (production.data / "x").write_bytes(b"other")
    result = reproduce(production, way)
    assert result.verdict == "different-failure"
    assert (result.differences[0].what, result.differences[0].name) == ("input", str(production.data / "x"))


def test_is_it_fixed(production: Production, way: Isolation, monkeypatch: pytest.MonkeyPatch) -> None:
    production.write("rows = [int(x) for x in open('rows.txt')]\nprint(sum(rows))\n")
    (production.root / "rows.txt").write_text("1\n\n2\n")
    assert production.run(sys.executable, "job.py").returncode == 1
    home = production.root.parent.parent / "home"
    shutil.copytree(production.root, home)
    production.vanish()
    (home / "rows.txt").write_text("1\n")  # a sample of the developer's: production's own input must be used
    monkeypatch.chdir(home)
    assert reproduce(production, way, code="working-tree").verdict == "same-failure"
    (home / "job.py").write_text("rows = [int(x) for x in open('rows.txt') if x.strip()]\nprint(sum(rows))\n")
    fixed = reproduce(production, way, code="working-tree")
    assert fixed.verdict == "passed"
    assert b"".join(chunk.data for chunk in fixed.output) == b"3\n"
    assert fixed.differences[0].what == "code"
    assert (home / "rows.txt").read_text() == "1\n"


def test_the_scratch_folder_takes_what_the_command_writes(production: Production, way: Isolation) -> None:
    production.write("open('made.txt', 'w').write('x'); raise RuntimeError('after writing')")
    production.run(sys.executable, "job.py")
    (production.root / "made.txt").unlink()
    kept = reproduce(production, way, keep=True)
    assert kept.scratch is not None
    assert Path(f"{kept.scratch}/files{production.root}/made.txt").exists()
    assert not (production.root / "made.txt").exists()
    shutil.rmtree(kept.scratch)


def test_output_comes_while_it_runs_and_work_can_be_cancelled(production: Production, way: Isolation) -> None:
    production.write("import os, time\nprint('ready', flush=True)\nif os.path.exists(os.sep + 'never'): pass\n"
                     "time.sleep(0.1 if os.environ.get('SHORT') else 60)\nraise ValueError")  # fmt: skip
    production.run(sys.executable, "job.py", env={"SHORT": "1"})
    record = production.record()
    record.data["env"].pop("SHORT")
    cancel = Cancel()

    def listen(event: Event) -> None:
        if isinstance(event, Output) and b"ready" in event.data:
            cancel.set()

    with pytest.raises(Cancelled):
        workflow.reproduce(record, workflow.Options(isolation=way), emit=listen, cancel=cancel)
    assert list((paths.cache_dir() / "reproductions").iterdir()) == []


def test_a_tampered_input_stops_before_anything_runs(
    production: Production, capsys: pytest.CaptureFixture[str]
) -> None:
    production.write("open('ran', 'w'); raise ValueError(open('rows.txt').read())")
    (production.root / "rows.txt").write_text("original")
    production.run(sys.executable, "job.py")
    record = production.record()
    digest = next(item["blob"] for item in record.inputs() if "blob" in item)
    blob = production.store / "blobs/sha256" / digest[:2] / digest
    blob.chmod(0o600)
    blob.write_text("tampered")
    with pytest.raises(RecordError, match="was changed"):
        workflow.reproduce(record, workflow.Options(), emit=ignore, cancel=Cancel())
    assert main(["reproduce", "last", "--store", str(production.store), "--no-tui"]) == 6
    assert "was changed" in capsys.readouterr().err


# The command line.


def test_json_has_the_documented_fields(production: Production, capsys: pytest.CaptureFixture[str]) -> None:
    production.write("raise ValueError('x')")
    production.run(sys.executable, "job.py")
    assert main(["reproduce", "last-failed", "--store", str(production.store), "--json"]) == 0
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert document["verdict"] == "same-failure"
    assert {"run", "verdict", "recorded", "observed", "differences", "restored", "not_restored"} <= document.keys()
    assert document["recorded"]["frame"] == {
        "file": "job.py",
        "function": "<module>",
        "line": 1,
        "line_text": "raise ValueError('x')",
    }
    assert "run it again" in captured.err


def test_a_dry_run_touches_nothing(production: Production, capsys: pytest.CaptureFixture[str]) -> None:
    production.write("raise ValueError('x')")
    production.run(sys.executable, "job.py")
    before = sorted(str(p) for p in production.root.parent.parent.rglob("*"))
    assert main(["reproduce", "last", "--store", str(production.store), "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["command"][1:] == ["job.py"] and plan["folder"] == str(production.root)
    assert any(item["what"] == "code" for item in plan["restored"])
    assert sorted(str(p) for p in production.root.parent.parent.rglob("*")) == before
    assert main(["reproduce", "last", "--store", str(production.store), "--dry-run"]) == 0
    assert "would run" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (["reproduce", "--no-tui"], 2, "which run?"),
        (["reproduce", "zzzz", "--no-tui"], 2, "has no run zzzz"),
        (["reproduce", "last", "--no-tui", "--store", "/nowhere"], 6, "there is no store at /nowhere"),
        (["reproduce", "last", "--no-tui", "--store", "gs://x"], 2, "no store of the kind gs"),
        (["reproduce", "last", "--no-tui", "--code", "mine"], 2, "--code mine is not known"),
        (["reproduce", "last", "--no-tui", "--progress", "loud"], 2, "has no runs yet"),
        (["show", "last"], 2, "has no runs yet"),
        (["show", "last-failed", "--store", "/nowhere"], 6, "there is no store"),
        (["runs", "--store", "/nowhere"], 6, "there is no store"),
        (["runs", "--limit", "0"], 2, "--limit"),
    ],
)
def test_mistakes(words: list[str], code: int, expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == code
    captured = capsys.readouterr()
    assert expected in captured.err and "Traceback" not in captured.err
    assert captured.out == ""


def test_runs_and_show_as_text_and_json(production: Production, capsys: pytest.CaptureFixture[str]) -> None:
    production.write("def f(rows):\n    total = sum(rows)\n    raise ValueError(f'total {total}')\nf([1, 2])\n")
    production.run(sys.executable, "job.py")
    store = ["--store", str(production.store)]
    assert main(["runs", "--failed", *store, "--json"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)["runs"]
    assert {"id", "status", "exit", "signal", "started", "command", "project", "signature"} <= listed.keys()
    assert (listed["status"], listed["exit"], listed["signal"]) == ("failed", 1, None)
    assert main(["runs", *store]) == 0
    text = capsys.readouterr()
    assert "ValueError: total <n>" in text.out and f"dsenv reproduce {listed['id']}" in text.err
    assert main(["show", listed["id"][-11:], *store]) == 0
    shown = capsys.readouterr().out
    assert "ValueError: total 3" in shown and "total = 3" in shown and "raise ValueError" in shown
    assert main(["show", "last", *store, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    frames = document["failures"][document["primary"]]["exceptions"][0]["frames"]
    assert [local["preview"] for local in frames[-1]["locals"]] == ["[1, 2]", "3"]


def test_a_run_without_code_cannot_be_reproduced(production: Production) -> None:
    production.write("raise ValueError('x')")
    production.run(sys.executable, "job.py")
    record = production.record()
    record.data["code"]["tree"] = None
    result = workflow.reproduce(record, workflow.Options(), emit=ignore, cancel=Cancel())
    assert (result.verdict, result.observed) == ("cannot-reproduce", None)
    assert "--code working-tree" in (result.reason or "")


def test_an_environment_that_cannot_be_had_is_a_verdict(production: Production) -> None:
    production.write("raise ValueError('x')")
    production.run(sys.executable, "job.py")
    record = production.record()
    record.data["environment"]["python"] |= {"version": "3.2.1", "executable": "/nowhere/python", "prefix": "/nowhere"}
    record.data["environment"]["distributions"] = []
    result = workflow.reproduce(record, workflow.Options(), emit=ignore, cancel=Cancel())
    assert result.verdict == "cannot-reproduce"
    assert "3.2" in (result.reason or "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_being_told_to_end_cleans_up_as_ctrl_c_does(production: Production, number: signal.Signals) -> None:
    if signal.getsignal(number) is signal.SIG_IGN:
        pytest.skip("whoever started the tests ignores it, and so does what they start")
    production.write("import os, time\nprint('rea' + 'dy', os.getpid(), flush=True)\n"
                     "time.sleep(0.1 if os.environ.get('SHORT') else 60)\nraise ValueError")  # fmt: skip
    production.run(sys.executable, "job.py", env={"SHORT": "1"})
    (file,) = production.store.rglob("record.json")
    file.chmod(0o600)
    file.write_text(file.read_text().replace('"SHORT"', '"OTHER"'))
    words = [sys.executable, "-m", "dsenv", "reproduce", "last", "--store", str(production.store), "--json"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=unmeasured())
    with process:
        assert process.stderr is not None and process.stdout is not None
        line = next(line for line in process.stderr if line.startswith("ready"))
        process.send_signal(number)
        assert process.wait(timeout=20) == 130
        assert process.stdout.read() == ""
        assert "interrupted" in process.stderr.read()
    with pytest.raises(ProcessLookupError):
        os.kill(int(line.split()[1]), 0)
    assert list((paths.cache_dir() / "reproductions").iterdir()) == []


def test_the_program_of_a_debugged_reproduction_does_not_write_into_the_document(production: Production) -> None:
    production.write("print('noise'); raise ValueError('x')")
    production.run(sys.executable, "job.py")
    words = [sys.executable, "-m", "dsenv", "reproduce", "last", "--store", str(production.store), "--json", "--pdb"]
    done = subprocess.run(words, capture_output=True, check=False, start_new_session=True)
    assert json.loads(done.stdout)["verdict"] == "same-failure"
    assert b"noise" in done.stderr and done.returncode == 0


@pytest.mark.skipif(not sys.platform.startswith("linux") or os.geteuid() != 0, reason="only root mounts a small disk")
@pytest.mark.parametrize("size", ["4k", "40k", "200k"])
def test_a_full_disk_is_said_and_leaves_nothing(
    production: Production, tmp_path: Path, size: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    production.write("raise ValueError('x')")
    production.run(sys.executable, "job.py")
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", disk], check=False).returncode != 0:
        pytest.skip("this machine refuses mounts")
    try:
        monkeypatch.setenv("XDG_CACHE_HOME", str(disk))
        assert main(["reproduce", "last", "--store", str(production.store), "--json"]) == 6
        captured = capsys.readouterr()
        assert captured.out == "" and "No space left" in captured.err and "XDG_CACHE_HOME" in captured.err
        assert [file for file in disk.rglob("*") if file.is_file()] == []
    finally:
        subprocess.run(["umount", disk], check=True)
