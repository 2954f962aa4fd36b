"""Control groups of both versions, in folders that look like them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dsenv.agent.replay import cgroup


class Kernel:
    """A proc folder and a mounted hierarchy, with our process in the group `own`."""

    def __init__(self, folder: Path, version: int, own: str = "/user.slice/session.scope", root: str = "/") -> None:
        self.proc, self.mount = folder / "proc", folder / "cgroup"
        self.proc.mkdir()
        self.own = self.mount / os.path.relpath(own, root)
        self.own.mkdir(parents=True)
        kind, options = ("cgroup2 cgroup2", "rw") if version == 2 else ("cgroup memory", "rw,memory")
        line = f"30 20 0:26 {root} {self.mount} rw,nosuid - {kind} {options}\n"
        (self.proc / "mountinfo").write_text("22 20 0:5 / /proc rw - proc proc rw\n" + line)
        (self.proc / "cgroup").write_text(f"0::{own}\n" if version == 2 else f"4:memory:{own}\n")

    def places(self) -> list[str]:
        return [place.folder for place in cgroup.places("memory", str(self.proc))]


def test_version_1_allows_a_group_in_our_own(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path, 1)
    assert kernel.places()[0] == str(kernel.own)
    assert kernel.places()[-1] == str(kernel.mount)


def test_version_2_allows_one_where_the_controller_is_handed_on(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path, 2)
    (kernel.own / "cgroup.subtree_control").write_text("")
    (kernel.own.parent / "cgroup.subtree_control").write_text("cpu memory pids\n")
    assert kernel.places() == [str(kernel.own.parent)]


def test_in_a_container_the_group_is_the_mounts_root(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path, 1, own="/docker/abc", root="/docker/abc")
    assert kernel.places() == [str(kernel.mount)]


def test_without_any_the_reason_is_said(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path, 2)
    with pytest.raises(cgroup.GroupError, match="no control groups for memory"):
        cgroup.make("memory", {1: {}, 2: {}}, str(kernel.proc))


def test_a_group_that_cannot_be_entered_is_not_left_behind(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path, 2)
    (kernel.own.parent / "cgroup.subtree_control").write_text("memory")
    with pytest.raises(cgroup.GroupError, match="may not be used"):
        cgroup.make("memory", {1: {}, 2: cgroup.settings(2, 1 << 20, None)}, str(kernel.proc))
    assert not [folder for folder in kernel.own.parent.iterdir() if folder.name.startswith(cgroup.PREFIX)]


def test_a_group_of_somebody_who_was_killed_is_removed(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path, 1)
    left, used = (kernel.own / f"{cgroup.PREFIX}{pid}" for pid in ("4999999", str(os.getppid())))
    left.mkdir()
    used.mkdir()
    with pytest.raises(cgroup.GroupError):
        cgroup.make("memory", {1: {}, 2: {}}, str(kernel.proc))
    assert (left.exists(), used.exists()) == (False, True)


def test_settings() -> None:
    assert cgroup.settings(2, 1000, None) == {"memory.max": "1000", "memory.swap.max": "0"}
    assert cgroup.settings(2, None, 1.5) == {"cpu.max": "150000 100000"}
    assert cgroup.settings(1, None, 0.25)["cpu.cfs_quota_us"] == "25000"
    assert cgroup.settings(1, 1000, None)["memory.limit_in_bytes"] == "1000"


@pytest.mark.parametrize("name", ["memory.oom_control", "memory.events"])
def test_kills_are_counted(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("low 0\noom 3\noom_kill 2\noom_group_kill 1\n")
    assert cgroup.kills(str(tmp_path)) == 2
    assert cgroup.kills(str(tmp_path / "none")) == 0


def test_a_group_in_use_is_named(tmp_path: Path) -> None:
    used, empty = tmp_path / "used", tmp_path / "empty"
    used.mkdir()
    empty.mkdir()
    (used / "process").touch()
    assert cgroup.remove([str(used), str(empty), str(tmp_path / "gone")]) == [str(used)]
