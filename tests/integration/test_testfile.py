"""`reproduce --test`: what is written, and what is left alone."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from dsenv import wording
from dsenv.agent.replay import namespace
from dsenv.cli.main import main
from dsenv.events import Cancel, ignore
from dsenv.workflows import reproduce, testfile
from dsenv.workflows.reproduce.model import Reproduction, Verdict
from tests.integration.capturing import capture
from tests.zoo.test_saved import pytest_says


class Project:
    """A project whose job failed, and the store that has it."""

    def __init__(self, folder: Path) -> None:
        self.root, self.store, self.data = folder / "app", folder / "store", folder / "data"
        for made in (self.root, self.data):
            made.mkdir()
        (self.root / "pyproject.toml").touch()

    def fails(self, program: str, *words: str, **settings: Any) -> None:
        (self.root / "job.py").write_text(program)
        done = capture(self.store, [sys.executable, "job.py", *words], measured=False, cwd=self.root, **settings)
        assert done.returncode != 0

    def save(self, **options: Any) -> testfile.Saved:
        record = reproduce.open_record("last", str(self.store))
        wanted = testfile.Options(self.root / "test_job.py", **options)
        return testfile.save(record, wanted, emit=ignore, cancel=Cancel())


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.mark.slow
def test_only_what_the_failure_and_the_code_need_is_in_it(project: Project) -> None:
    rows = [f"{number},oak" for number in range(4000)]
    rows[2500] = "2500,bamboo"
    (project.root / "batch.csv").write_text("id,material\n" + "\n".join(rows) + "\n")
    (project.root / "optional.json").write_text("{}")
    project.fails(
        "import csv, os, pathlib\n"
        "pathlib.Path('optional.json').read_text() if pathlib.Path('optional.json').exists() else None\n"
        "with open('batch.csv') as file:\n"
        "    kinds = [{'oak': 1}[row['material']] for row in csv.DictReader(file)]\n"
        "print(os.environ['TARGET'], os.environ['API_TOKEN'])\n",
        env={"TARGET": "staging", "API_TOKEN": "ghp_0123456789abcdefghijABCDEFGHIJ012345", "UNRELATED": "1"},
    )
    saved = project.save()
    assert saved.reason is None, saved.reason
    text = saved.file.read_text()
    data = saved.file.with_name("test_job_data")
    assert [file.relative_to(data).as_posix() for file in data.rglob("*") if file.is_file()] == ["project/batch.csv"]
    assert (data / "project" / "batch.csv").read_text() == "id,material\n2500,bamboo\n"
    assert "all but 2 of the 4,001 lines of batch.csv" in text and "1 of 2 files that were read" in text
    # What the code names stays for the mended program; a secret is a placeholder.
    assert '"TARGET": "staging"' in text and "UNRELATED" not in text
    assert "ghp_" not in text and '"API_TOKEN": "dsenv-placeholder-api_token"' in text


@pytest.mark.slow
def test_files_that_are_opened_by_a_name_of_the_code_are_redirected(project: Project) -> None:
    (project.data / "rates.json").write_text('{"oak": 0}')
    project.fails(
        f"import json, os\nPATH = {str(project.data / 'rates.json')!r}\n"
        "assert os.path.exists(PATH)\nwith open(PATH) as file:\n    rates = json.load(file)\nprint(1 / rates['oak'])\n"
    )
    (project.data / "rates.json").unlink()
    saved = project.save()
    assert saved.reason is None, saved.reason
    assert (saved.file.with_name("test_job_data") / "redirect" / "sitecustomize.py").is_file()
    assert pytest_says(saved.file)[0] == 1
    job = project.root / "job.py"
    job.write_text(job.read_text().replace("1 / rates", "rates"))
    assert pytest_says(saved.file)[0] == 0


@pytest.mark.slow
def test_what_lies_beside_is_rewritten_in_words_and_variables(project: Project) -> None:
    (project.data / "n").write_text("0")
    name = str(project.data / "n")
    project.fails(
        "import os, sys\nprint(1 / int(open(os.environ['N']).read()), sys.argv)\n", f"--n={name}", env={"N": name}
    )
    saved = project.save()
    assert saved.reason is None and "redirect" not in saved.file.read_text()
    shown = f'f"{{there}}{name}"'
    assert f'"N": {shown}' in saved.file.read_text() and f'f"--n={{there}}{name}"' in saved.file.read_text()


@pytest.mark.slow
def test_a_fixed_working_tree_is_said(project: Project) -> None:
    project.fails("print(1 / 0)")
    (project.root / "job.py").write_text("print(1)")
    assert project.save().working_tree == "passes"


def test_nothing_is_written_for_another_verdict(project: Project, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    project.fails(
        "import os\nif not os.environ.get('GONE'): raise ValueError(os.environ['N'])",
        env={"N": "one"},
    )
    file = next(project.store.rglob("record.json"))
    file.chmod(0o600)
    record = json.loads(file.read_text())
    record["env"]["GONE"] = "1"
    file.write_text(json.dumps(record))
    monkeypatch.chdir(project.root)
    words = ["reproduce", "last", "--store", str(project.store), "--test", "test_job.py"]
    assert main(words) == 1
    assert "nothing was written: the verdict is passed" in capsys.readouterr().out
    assert not (project.root / "test_job.py").exists()


@pytest.mark.slow
def test_files_of_others_are_left_alone_and_our_own_are_replaced(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    project.fails("print(1 / 0)")
    monkeypatch.chdir(project.root)
    file = project.root / "test_job.py"
    file.write_text("mine\n")
    words = ["reproduce", "last", "--store", str(project.store), "--test", "test_job.py"]
    assert main(words) == 2
    assert "exists and is not this run's test" in capsys.readouterr().err
    assert file.read_text() == "mine\n"
    assert main([*words, "--yes", "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert (first["working_tree"], first["test"]) == ("fails", "test_app_zero_division_error_in_job")
    assert main(words) == 0  # it is ours now
    shown = capsys.readouterr().out
    guide = (Path(__file__).parents[2] / "docs" / "how-to" / "reproduce-a-failed-run.md").read_text()
    example = guide.split("in `tests/test_bamboo_data`:")[1].split("```")[1]
    assert {line[:12] for line in shown.splitlines()} == {line[:12] for line in example.strip().splitlines()}
    assert shown.splitlines()[-2:] == example.strip().splitlines()[-2:]
    assert main([*words, "--dry-run"]) == 0
    assert "would write" in capsys.readouterr().out
    assert main(["reproduce", "last", "--store", str(project.store), "--test", "job.py"]) == 2
    assert "pytest does not find tests in job.py" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(not namespace.available(), reason="nothing is kept from the disk here")
def test_a_trial_writes_nothing_outside(project: Project) -> None:
    project.fails(f"open({str(project.data / 'out')!r}, 'a').write('x')\nprint(1 / 0)\n")
    assert (project.data / "out").read_text() == "x"
    saved = project.save()
    assert saved.reason is None
    assert len((project.data / "out").read_text()) <= 2  # once there, once by pytest, which runs it as anybody would


@pytest.mark.parametrize("verdict", ["passed", "same-failure", "different-failure", "cannot-reproduce"])
def test_the_guide_has_the_words_and_the_answer_of_each_verdict(verdict: Verdict, project: Project) -> None:
    project.fails("print(1 / 0)")
    record = reproduce.open_record("last", str(project.store))
    result = Reproduction(record.summary(), verdict, None, None, (), (), (), code="working-tree")
    answer = json.dumps(result.to_json()["fixed"])
    guide = (Path(__file__).parents[2] / "docs" / "how-to" / "reproduce-a-failed-run.md").read_text()
    code = 0 if verdict == "same-failure" else 1
    assert f"| `{verdict}` | {wording.verdict('working-tree', verdict)} | {answer} | {code} |" in guide
