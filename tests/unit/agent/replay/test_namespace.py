"""Mount namespaces, in real ones: recorded files are where they were recorded, for that process alone."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsenv import resources
from dsenv.agent.replay import namespace
from dsenv.agent.rerun import NOT_PREPARED

pytestmark = pytest.mark.skipif(not namespace.available(), reason="this machine refuses mount namespaces")


def unprivileged() -> str | None:
    """A user without rights, when we may become one."""
    for name in ("dsenv-test", "nobody"):
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return name if os.geteuid() == 0 and shutil.which("setpriv") else None
    return None


@pytest.fixture(params=["self", "unprivileged"])
def become(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """The words before a command that run it as a user."""
    if request.param == "self":
        return []
    user = unprivileged()
    if user is None:
        pytest.skip("cannot become an unprivileged user")
    return ["setpriv", f"--reuid={user}", f"--regid={pwd.getpwnam(user).pw_gid}", "--clear-groups"]


PROGRAM = """
import sys, os, json
sys.path.insert(0, sys.argv[1])
from dsenv.agent.replay import namespace
plan = json.loads(sys.argv[2])
namespace.enter()
namespace.arrange(plan["staging"], [tuple(p) for p in plan["places"]], plan["hidden"])
os.chdir("/")
os.execvp("sh", ["sh", "-c", plan["then"]])
"""


def run(become: list[str], folder: Path, plan: dict[str, object]) -> subprocess.CompletedProcess[str]:
    agent = folder / "agent.pyz"
    agent.write_bytes(resources.agent_archive())
    for path in (folder, *folder.rglob("*")):
        if become and not path.is_symlink():
            os.chown(path, pwd.getpwnam(unprivileged() or "nobody").pw_uid, -1)
    python = "/usr/bin/python3" if become and Path("/usr/bin/python3").exists() else sys.executable
    argv = [*become, python, "-I", "-S", "-c", PROGRAM, str(agent), json.dumps(plan)]
    return subprocess.run(argv, capture_output=True, text=True, check=False, env={"PATH": os.environ["PATH"]})


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that an unprivileged user can reach, unlike pytest's own."""
    import tempfile

    made = Path(tempfile.mkdtemp(prefix="dsenv-ns-"))
    made.chmod(0o755)
    for name in ("staging", "tree/sub"):
        (made / name).mkdir(parents=True)
    (made / "tree/code.py").write_text("code")
    (made / "input").write_text("recorded")
    yield made
    shutil.rmtree(made)


def test_files_are_where_they_were_recorded(become: list[str], folder: Path) -> None:
    places = [
        [str(folder / "tree"), "/srv/app/project"],  # its parents may not exist
        [str(folder / "input"), "/a-new-root/deep/data.csv"],  # below / itself
        [str(folder / "input"), "/etc/hostname"],  # over a file of this machine
        [str(folder / "tree"), "/usr/share/doc"],  # over a folder of this machine
    ]
    then = (
        "cat /srv/app/project/code.py /a-new-root/deep/data.csv /etc/hostname; ls /usr/share/doc | tr '\\n' ' ';"
        "test ! -e /etc/passwd && test ! -e /usr/bin/env && echo hidden;"
        "touch /srv/app/project/made && echo written; id -u"
    )
    hidden = ["/etc/passwd", "/usr/bin/env"]
    done = run(become, folder, {"staging": str(folder / "staging"), "places": places, "hidden": hidden, "then": then})
    assert done.returncode == 0, done.stderr
    uid = pwd.getpwnam(unprivileged() or "nobody").pw_uid if become else os.getuid()
    assert done.stdout == f"coderecordedrecordedcode.py sub hidden\nwritten\n{uid}\n"
    assert (folder / "tree/made").exists()
    assert not Path("/a-new-root").exists()
    assert not Path("/srv/app/project").exists()
    assert Path("/etc/passwd").exists()


def test_a_source_below_its_target(folder: Path) -> None:
    """The scratch folder may lie in the project that is covered."""
    (folder / "project/scratch").mkdir(parents=True)
    (folder / "project/scratch/f").write_text("kept")
    places = [
        [str(folder / "tree"), str(folder / "project")],
        [str(folder / "project/scratch"), str(folder / "project/scratch")],
    ]
    then = f"cat {folder}/project/scratch/f; ls {folder}/project | tr '\\n' ' '"
    done = run([], folder, {"staging": str(folder / "staging"), "places": places, "hidden": [], "then": then})
    assert (done.stdout, done.returncode) == ("keptcode.py scratch sub ", 0), done.stderr


def test_a_plan_that_cannot_be_set_up_runs_nothing(folder: Path) -> None:
    agent = folder / "agent.pyz"
    agent.write_bytes(resources.agent_archive())
    plan = {
        "staging": str(folder / "absent"),
        "places": [],
        "hidden": [],
        "cwd": "/",
        "env": {},
        "umask": 18,
        "capture": [],
    }
    (folder / "plan.json").write_text(json.dumps(plan))
    done = subprocess.run(
        [sys.executable, "-I", "-S", agent, "replay", folder / "plan.json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == NOT_PREPARED
    assert "absent" in done.stderr
