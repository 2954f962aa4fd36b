"""The whole zoo again as a user without rights: captured, and reproduced in both ways of restoring."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.zoo.as_user import CANNOT
from tests.zoo.cases import CASES

REPOSITORY = Path(__file__).parents[2]
_PARTS = 2
# In a mount namespace of its own, the Python of a user whose home is closed to others is open to them.
_OPENED = (
    'set -e; folder=$1; closed=$2; python=$3; shift 3; own=$(umask); umask 022; mkdir -p "$folder/python"; '
    'mount --bind "$python" "$folder/python"; mount -t tmpfs none "$closed"; chmod 755 "$closed"; '
    'mkdir -p "$python"; mount --bind "$folder/python" "$python"; umask "$own"; exec "$@"'
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.unprivileged,
    pytest.mark.timeout(900),
    pytest.mark.skipif(os.geteuid() != 0, reason="this user is not root: the other tests say it all"),
    pytest.mark.skipif(shutil.which("setpriv") is None, reason="there is no setpriv"),
]


@pytest.fixture
def user() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam("dsenv-test")
    except KeyError:
        pytest.skip("there is no user dsenv-test; ./install.sh test makes it")


@pytest.fixture
def folder(user: pwd.struct_passwd) -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="dsenv-zoo-"))
    made.chmod(0o755)
    for name in ("home", "work"):
        (made / name).mkdir(mode=0o700)
        os.chown(made / name, user.pw_uid, user.pw_gid)
    yield made
    shutil.rmtree(made)


def _become(user: pwd.struct_passwd, folder: Path) -> list[str]:
    """The words before a command that make it that user's."""
    drop = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    drop += ["sh", "-c", 'exec "$@"', "sh"]  # setpriv itself still has its rights when it looks for a program
    tried = [*drop, sys.executable, "-c", "import numpy"]
    if subprocess.run(tried, capture_output=True, check=False).returncode == 0:
        return drop
    prefix, home = Path(sys.base_prefix), Path(pwd.getpwuid(0).pw_dir)
    if not prefix.is_relative_to(home) or shutil.which("unshare") is None:
        pytest.skip("this Python cannot be run by other users")
    opened = ["unshare", "--mount", "sh", "-c", _OPENED, "sh", str(folder), str(home), str(prefix), *drop]
    if subprocess.run([*opened, *tried[len(drop) :]], capture_output=True, check=False).returncode:
        pytest.skip("this Python cannot be run by other users")
    return opened


@pytest.mark.parametrize(
    ("way", "strict"), [("namespace", False), ("redirect", False), ("namespace", True)],
    ids=["namespace", "redirect", "read-only-home-and-umask-077"],
)  # fmt: skip
def test_the_zoo_comes_back_without_rights(way: str, strict: bool, user: pwd.struct_passwd, folder: Path) -> None:
    words = _become(user, folder)
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder / "home"),
        "PYTHONPATH": str(REPOSITORY),
        "LANG": "C.UTF-8",
    }
    if strict:
        (folder / "home").chmod(0o500)
        os.chown(folder / "home", 0, user.pw_gid)
        (folder / "home").chmod(0o550)
    found: dict[str, str] = {}
    program = [*words, sys.executable, str(REPOSITORY / "tests/zoo/as_user.py"), way, str(folder / "work")]
    workers = [
        subprocess.Popen(
            [*program, str(part), str(_PARTS)],
            cwd=folder / "work",
            env=environ,
            stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            umask=0o077 if strict else 0o022,
        )
        for part in range(_PARTS)
    ]
    for worker in workers:
        said, _ = worker.communicate()
        found.update({line["case"]: line["problem"] for line in map(json.loads, said.splitlines())})
    expected = {case.name for case in CASES if way in case.ways}
    assert set(found) == expected
    assert {name: problem for name, problem in found.items() if problem not in ("", CANNOT)} == {}
    played = sum(problem == "" for problem in found.values())
    assert played > 40, found
