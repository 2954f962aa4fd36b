"""Projects lie in odd places and are started in odd ways: each run is captured, moved away and reproduced."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dsenv.agent.replay import namespace
from dsenv.config import paths
from dsenv.errors import RecordError
from dsenv.events import Cancel, ignore
from dsenv.workflows import reproduce as workflow
from dsenv.workflows.reproduce.model import Isolation
from tests.measuring import unmeasured

PYTHON = sys.executable


@pytest.fixture(params=["namespace", "redirect"])
def way(request: pytest.FixtureRequest) -> Isolation:
    chosen: Isolation = request.param
    if chosen == "namespace" and not namespace.available():
        pytest.skip("this machine refuses mount namespaces")
    return chosen


class Place:
    """A folder called `there` on a machine that will be gone, with the project `app` in it, and a store."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.there = folder / "there"
        self.write("app/pyproject.toml", "")

    def write(self, name: str, text: str) -> Path:
        file = self.there / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def run(self, *argv: str, cwd: str = "app", env: dict[str, str] | None = None) -> None:
        words = [PYTHON, "-m", "dsenv.agent", "capture", "--store", str(self.folder / "store"), "--", *argv]
        kept = unmeasured()
        environ = kept | (env or {})
        done = subprocess.run(words, cwd=self.there / cwd, env=environ, check=False, stdin=subprocess.DEVNULL)
        assert done.returncode != 0

    def reproduce(self, way: Isolation, *, moved: bool = True) -> workflow.Reproduction:
        if moved:
            self.there.rename(self.folder / "elsewhere")
        record = workflow.open_record("last-failed", str(self.folder / "store"))
        result = workflow.reproduce(record, workflow.Options(isolation=way), emit=ignore, cancel=Cancel())
        assert list((paths.cache_dir() / "reproductions").iterdir()) == []
        return result


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_project_and_data_behind_links(place: Place, way: Isolation) -> None:
    place.write("app/job.py", "import sys; raise ValueError(open('data/d').read() + open(sys.argv[1]).read())")
    place.write("disk/d", "x")
    (place.there / "app/data").symlink_to(place.there / "disk")
    (place.there / "current").symlink_to("app")
    (place.there / "mnt").symlink_to("disk")
    place.run(PYTHON, str(place.there / "current/job.py"), str(place.there / "mnt/d"), cwd="current")
    result = place.reproduce(way)
    assert result.verdict == "same-failure", result.observed


def test_names_with_spaces_newlines_and_letters(place: Place, way: Isolation) -> None:
    program = "import sys; raise ValueError(open('d x').read() + open(sys.argv[1]).read())"
    for name, text in (("dsenv.toml", ""), ("a b/jöb.py", program), ("d x", "x"), ("../é\n.csv", "y")):
        place.write(f"app/pro ü\n/{name}", text)
    place.run(PYTHON, "a b/jöb.py", str(place.there / "app/é\n.csv"), cwd="app/pro ü\n")
    assert place.reproduce(way).verdict == "same-failure"


def test_paths_that_climb_out_of_the_project_and_folders_that_are_listed(place: Place, way: Isolation) -> None:
    place.write("data/a.csv", "1")
    place.write("data/b.csv", "x")
    place.write(
        "app/src/job.py",
        "from pathlib import Path\nimport glob\n"
        "found = sorted((Path(__file__).resolve().parents[2] / 'data').glob('*.csv'))\n"
        "assert len(found) == len(glob.glob('../data/*.csv')) == 2\n"
        "for file in found: int(file.read_text())\n",
    )
    place.run(PYTHON, "src/job.py")
    result = place.reproduce(way)
    assert result.verdict == "same-failure", result.observed


def test_a_working_folder_outside_of_the_project(place: Place, way: Isolation) -> None:
    place.write("app/job.py", "raise ValueError(open('d').read())")
    place.write("work/d", "x")
    place.run(PYTHON, str(place.there / "app/job.py"), cwd="work")
    assert place.reproduce(way).verdict == "same-failure"


def test_paths_inside_a_shell_command(place: Place, way: Isolation) -> None:
    place.write("app/job.py", "import sys; raise ValueError(open(sys.argv[1]).read())")
    place.write("d", "x")
    there = place.there
    place.run("sh", "-c", f'cd "{there}/app" && "{PYTHON}" job.py {there}/d', cwd=".")
    result = place.reproduce(way)
    assert result.verdict == "same-failure", result.observed


@pytest.mark.parametrize("python", [".venv/bin/python", "{app}/.venv/bin/python", "python"])
def test_an_environment_in_the_project(place: Place, way: Isolation, python: str) -> None:
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", str(place.there / "app/.venv")], check=True)
    place.write("app/job.py", "import sys; raise ValueError(sys.prefix.endswith('/.venv'))")
    app = str(place.there / "app")
    place.run(python.replace("{app}", app), "job.py", env={"PATH": f"{app}/.venv/bin:{os.environ['PATH']}"})
    result = place.reproduce(way, moved=False)
    assert result.verdict == "same-failure" and result.observed is not None
    assert result.observed["message"] == "True"


def test_a_file_above_the_cap_is_used_where_it_lies(place: Place, way: Isolation) -> None:
    place.write("app/job.py", "raise ValueError(open('big').read(3))")
    (place.there / "app/big").write_bytes(b"abc" + bytes(65 << 20))
    place.run(PYTHON, "job.py")
    result = place.reproduce(way, moved=False)
    assert result.verdict == "same-failure", result.observed


def test_nothing_that_was_started_outlives_the_reproduction(place: Place, way: Isolation) -> None:
    marker = f"86{os.getpid()}"
    place.write("app/job.py", f"import subprocess; print(subprocess.Popen(['sleep', '{marker}']).pid); 1 / 0")
    words = ["pgrep", "-x", "-f", f"sleep {marker}"]
    place.run(PYTHON, "job.py")
    in_production = subprocess.run(words, capture_output=True, check=True).stdout
    assert place.reproduce(way).verdict == "same-failure"
    assert subprocess.run(words, capture_output=True, check=True).stdout == in_production
    os.kill(int(in_production), 9)


def test_folders_that_the_program_closed_do_not_stay(place: Place, way: Isolation) -> None:
    place.write(
        "app/job.py",
        "import os; os.makedirs('out/x', exist_ok=True); open('out/x/y', 'w'); os.chmod('out', 0o500); 1 / 0",
    )
    place.run(PYTHON, "job.py")
    assert place.reproduce(way).verdict == "same-failure"


def test_a_program_in_the_root_folder(place: Place, way: Isolation) -> None:
    """As in a container: nothing of this machine is covered but what has the program's own names."""
    place.write("app/dsenv-job.py", "raise ValueError(open('dsenv-d.txt').read())")
    place.write("app/dsenv-d.txt", "x")
    place.run(PYTHON, "dsenv-job.py")
    record = workflow.open_record("last", str(place.folder / "store"))
    inputs = [item | {"path": item["path"].replace(str(place.there / "app"), "")} for item in record.inputs()]
    place.there.rename(place.folder / "elsewhere")
    record.data["code"]["root"] = record.data["cwd"] = "/"
    record.data["command"] = [PYTHON, "/dsenv-job.py"]

    class InRoot(type(record)):  # type: ignore[misc]
        def inputs(self) -> list[object]:
            return list(inputs)

    record.__class__ = InRoot
    result = workflow.reproduce(record, workflow.Options(isolation=way), emit=ignore, cancel=Cancel())
    assert result.verdict == "same-failure", result.observed


@pytest.mark.parametrize(
    "change",
    [
        {"cwd": "relative"},
        {"cwd": "/a/../../b"},
        {"cwd": "/a\0b"},
        {"command": ["a\0b"]},
        {"env": {"A": "\0"}},
        {"env": {"A=B": ""}},
        {"code": {"root": "/x/.."}},
    ],
)
def test_what_no_process_can_have_had_is_refused(place: Place, change: dict[str, object]) -> None:
    place.write("app/job.py", "1 / 0")
    place.run(PYTHON, "job.py")
    record = workflow.open_record("last", str(place.folder / "store"))
    for key, value in change.items():
        known = record.data.get(key)
        record.data[key] = known | value if isinstance(value, dict) and isinstance(known, dict) else value  # type: ignore[literal-required]
    with pytest.raises(RecordError, match="cannot have been"):
        workflow.plan(record)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become someone else")
def test_a_user_reproduces_what_ran_in_a_folder_that_is_closed_to_them(place: Place, way: Isolation) -> None:
    """As root's home in a container is to a developer."""
    place.write("app/job.py", "raise ValueError(open('d').read())")
    place.write("app/d", "x")
    place.there.chmod(0o700)
    python = "/usr/bin/python3"
    if not Path(python).exists():
        pytest.skip("needs a Python that every user may run")
    place.run(python, str(place.there / "app/job.py"), env={"HOME": str(place.there)})
    program = (
        "import sys; sys.path[:0] = sys.argv[3:]; import os; os.environ['HOME'] = sys.argv[1] + '/home'\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "from dsenv.workflows import reproduce as w; from dsenv.events import Cancel, ignore\n"
        "record = w.open_record('last', sys.argv[1] + '/store')\n"
        "print(w.reproduce(record, w.Options(isolation=sys.argv[2]), emit=ignore, cancel=Cancel()).verdict)\n"
    )
    (place.folder / "home").mkdir()
    for folder in (place.folder, *place.folder.parents):
        if str(folder).startswith("/tmp/"):
            folder.chmod(0o755)
    subprocess.run(["chmod", "-R", "a+rX", place.folder / "store"], check=True)
    os.chown(place.folder / "home", 65534, 65534)
    done = subprocess.run(
        [python, "-c", program, str(place.folder), way, *filter(None, sys.path)],
        capture_output=True,
        text=True,
        check=False,
    )
    if "ModuleNotFoundError" in done.stderr:
        pytest.skip("that Python cannot use our packages")
    assert done.stdout == "same-failure\n", done.stderr
