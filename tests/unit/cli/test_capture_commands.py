from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from dsenv import fastpath
from dsenv.cli.main import main


def test_export_says_how_to_use_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "dsenv.pyz"
    assert main(["agent", "export", str(file), "--dry-run"]) == 0
    assert "would write" in capsys.readouterr().out
    assert main(["agent", "export", str(file)]) == 0
    assert f"python3 -I -S {file} capture" in capsys.readouterr().out
    assert main(["agent", "export", str(file), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["path"], found["changed"]) == (str(file), False)
    words = [sys.executable, "-I", "-S", str(file), "capture", "--store", str(tmp_path / "s"), "--", "true"]
    done = subprocess.run(words, check=False)
    assert done.returncode == 0 and (tmp_path / "s" / "index").is_dir()


def test_export_does_not_replace_what_is_not_ours(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "x"
    file.write_text("mine")
    assert main(["agent", "export", str(file)]) == 2
    assert "--yes" in capsys.readouterr().err
    assert file.read_text() == "mine"


def test_capture_is_documented_and_runs_without_the_fast_path_too(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "dsenv", "capture"]
    shown = subprocess.run([*words, "--help"], check=True, capture_output=True, text=True).stdout
    assert "Example: dsenv capture" in shown and "--run-id" in shown
    code = "import sys; from dsenv.cli.main import main; sys.exit(main(sys.argv[1:]))"
    command = ["capture", "--store", str(tmp_path), "--task", "t", "--json", "--", "sh", "-c", "echo out; exit 3"]
    done = subprocess.run([sys.executable, "-c", code, *command], check=False, capture_output=True, text=True)
    document = json.loads(done.stdout)
    assert (done.returncode, document["task"], done.stderr) == (3, "t", "out\n")


def test_the_fast_path_is_for_capture_only() -> None:
    for words in ([], ["run"], ["capture"], ["capture", "--help"], ["capture", "-h", "--", "x"]):
        assert fastpath.try_run(words) is None


def test_capture_loads_nothing_but_the_standard_library(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom dsenv import fastpath\n"
        f"code = fastpath.try_run(['capture', '--store', {str(tmp_path)!r}, '--', 'true'])\n"
        "names = {name.partition('.')[0] for name in sys.modules}\n"
        "sys.exit(sorted(names & {'typer', 'rich', 'pydantic', 'boto3', 'click', 'asyncio', 'email'}) or code)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("place", ["dsenv.__main__", "dsenv.agent.__main__"])
def test_an_interrupt_while_we_are_loaded_is_no_traceback(place: str) -> None:
    code = (
        "import sys\nclass Late:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'dsenv.agent.capture.command': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Late())\nsys.argv[1:] = ['capture', '--', 'true']\n"
        f"from {place} import main\nsys.exit(main())"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")
