"""What a process writes under a cover stays in the scratch folder; what it reads and reaches is what is there."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsenv import resources
from dsenv.agent.replay import overlay
from tests.unit.agent.replay.test_namespace import become, unprivileged

__all__ = ["become"]

PROGRAM = """
import os, socket, sys
sys.path.insert(0, sys.argv[1])
from dsenv.agent.replay import namespace, overlay
scratch, outside = sys.argv[2:4]
namespace.enter()
left = overlay.cover(scratch)
assert open(outside + "/old").read() == "old"
open(outside + "/old", "w").write("new")
open(outside + "/made", "w").write("made")
os.unlink(outside + "/gone")
os.mkdir(outside + "/folder")
assert sorted(os.listdir(outside)) == ["folder", "made", "old", "socket"]
assert open(outside + "/old").read() == "new"
with socket.socket(socket.AF_UNIX) as client:
    client.connect(outside + "/socket")
open(scratch + "/result", "w").write("kept")
print("done")
"""


@pytest.fixture
def outside() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="dsenv-outside-", dir="/var/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def test_nothing_outside_is_changed(become: list[str], outside: Path) -> None:
    scratch, disk = outside / "scratch", outside / "disk"
    scratch.mkdir()
    disk.mkdir()
    (disk / "old").write_text("old")
    (disk / "gone").write_text("here")
    (outside / "agent.pyz").write_bytes(resources.agent_archive())
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(disk / "socket"))
        server.listen()
        user = pwd.getpwnam(unprivileged() or "nobody") if become else pwd.getpwuid(os.getuid())
        for path in (outside, *outside.rglob("*")):
            os.chown(path, user.pw_uid, user.pw_gid)
        words = [sys.executable if not become else "/usr/bin/python3", "-c", PROGRAM, str(outside / "agent.pyz")]
        done = subprocess.run(
            [*become, *words, str(scratch), str(disk)], capture_output=True, text=True, check=False, cwd="/"
        )
    if become and "nothing can be covered" in done.stderr:
        pytest.skip("this machine lets users have no overlays")
    assert done.stdout == "done\n", done.stderr
    assert sorted(path.name for path in disk.iterdir()) == ["gone", "old", "socket"]
    assert (disk / "old").read_text() == "old"
    assert (scratch / "result").read_text() == "kept"


IN_ROOTS = """
import os, sys
sys.path.insert(0, sys.argv[1])
from dsenv.agent.replay import namespace, overlay
scratch, own = sys.argv[2:4]
namespace.enter()
overlay.cover(scratch, [own, "/nowhere/at/all", ""])
assert os.listdir(own) == ["old"]
os.mkdir(own + "/.config")
open(own + "/.config/made", "w").write("made")
print("done")
"""


@pytest.mark.skipif(unprivileged() is None, reason="there is no other user")
def test_a_home_in_a_folder_of_roots_can_be_written_to(become: list[str], outside: Path) -> None:
    outside.chmod(0o755)
    scratch, home = outside / "scratch", outside / "homes" / "me"
    scratch.mkdir()
    home.mkdir(parents=True)
    (home / "old").touch()
    (outside / "agent.pyz").write_bytes(resources.agent_archive())
    user = pwd.getpwnam(unprivileged() or "nobody") if become else pwd.getpwuid(os.getuid())
    for path in (scratch, home):
        os.chown(path, user.pw_uid, user.pw_gid)
    words = [sys.executable if not become else "/usr/bin/python3", "-c", IN_ROOTS, str(outside / "agent.pyz")]
    done = subprocess.run(
        [*become, *words, str(scratch), str(home)], capture_output=True, text=True, check=False, cwd="/"
    )
    if become and "nothing can be covered" in done.stderr:
        pytest.skip("this machine lets users have no overlays")
    assert done.stdout == "done\n", done.stderr
    assert [path.name for path in home.iterdir()] == ["old"]


def test_other_file_systems_are_covered_folder_by_folder(tmp_path: Path) -> None:
    for name in ("plain", "data/inner", "data/disk", "disk"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "link").symlink_to("plain")
    mounted = [overlay.Mount(str(tmp_path / name), "ext4") for name in ("data/disk", "disk")]
    found = {os.path.relpath(path, tmp_path): can for path, can in overlay.coverable(mounted, str(tmp_path)).items()}
    assert found == {"plain": True, "data": False, "data/disk": True, "data/inner": True, "disk": True}


def test_names_of_mount_points_are_read(tmp_path: Path) -> None:
    (tmp_path / "info").write_text("36 35 98:0 / /my\\040disk rw shared:1 - ext4 /dev/sda rw\n")
    assert overlay.mounts(str(tmp_path / "info")) == [overlay.Mount("/my disk", "ext4")]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount something to stand beside")
def test_a_scratch_folder_beside_another_mount_stays_as_it_is(outside: Path) -> None:
    """A folder that holds a mount is covered folder by folder, and the scratch folder may be one of these."""
    scratch, mounted = outside / "scratch", outside / "mounted"
    scratch.mkdir()
    mounted.mkdir()
    program = f"""
import sys
sys.path.insert(0, {str(outside / "agent.pyz")!r})
from dsenv.agent.replay import namespace, overlay
namespace.enter()
namespace.mount("none", {str(mounted)!r}, "tmpfs", 0)
overlay.cover({str(scratch)!r})
open({str(scratch / "result")!r}, "w").write("kept")
"""
    (outside / "agent.pyz").write_bytes(resources.agent_archive())
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd="/")
    if "NamespaceError" in done.stderr:
        pytest.skip("this machine lets nobody have overlays here")
    assert done.stderr == ""
    assert (scratch / "result").read_text() == "kept"
