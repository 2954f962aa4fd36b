"""Packages that come from no index: what is built, fetched, checked and refused."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from dsenv.envs.lock import local
from dsenv.envs.requirements_txt import Source
from dsenv.errors import LockError
from dsenv.events import Cancel, ignore
from dsenv.testing.index import write_wheel

LINUX = ("linux-64",)


def build(source: Source, root: Path, platforms: tuple[str, ...] = LINUX) -> local.Built:
    (built,) = local.build_all([source], root, "3.11", platforms, ignore, Cancel())
    return built


def archive(wheel: Path, **facts: str) -> Source:
    return Source("archive", str(wheel), **facts)  # type: ignore[arg-type]


def test_a_wheel_is_kept_by_its_digest_in_both_places(tmp_path: Path) -> None:
    wheel = write_wheel(tmp_path / "out", "mine", "1.0")
    built = build(archive(wheel, name="mine"), tmp_path / "project")
    kept = tmp_path / "project" / local.path_in_lock(built)
    assert kept.read_bytes() == wheel.read_bytes()
    assert built.requirement.startswith("mine @ file://")
    kept.write_bytes(b"damaged")
    build(archive(wheel), tmp_path / "project")
    assert kept.read_bytes() == wheel.read_bytes()


def test_a_wheel_for_one_platform_stops_a_lock_for_two(tmp_path: Path) -> None:
    wheel = write_wheel(tmp_path, "mine", "1.0", tag="cp311-cp311-linux_x86_64")
    assert build(archive(wheel), tmp_path).filename == wheel.name
    with pytest.raises(LockError, match=r"mine was built for this machine only.*osx-arm64") as caught:
        build(archive(wheel), tmp_path, ("linux-64", "osx-arm64"))
    assert "take osx-arm64 out" in (caught.value.hint or "")


def test_a_package_under_another_name_and_a_broken_wheel(tmp_path: Path) -> None:
    wheel = write_wheel(tmp_path, "mine", "1.0")
    with pytest.raises(LockError, match="is a package called mine"):
        build(archive(wheel, name="yours"), tmp_path)
    broken = tmp_path / "broken-1.0-py3-none-any.whl"
    broken.write_bytes(b"PK nothing")
    with pytest.raises(LockError, match="not a readable wheel"):
        build(archive(broken), tmp_path)


def test_a_subdirectory_never_leads_out(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    for inner in ("../..", "absent"):
        with pytest.raises(LockError, match="has no folder"):
            build(Source("directory", str(tmp_path / "tree"), subdirectory=inner), tmp_path)


def test_extras_and_markers_stay(tmp_path: Path) -> None:
    wheel = write_wheel(tmp_path, "mine", "1.0")
    source = Source("archive", str(wheel), extras=("a", "b"), marker="python_version > '3'")
    requirement = build(source, tmp_path).requirement
    assert requirement.startswith("mine[a,b] @ ")
    assert requirement.endswith("; python_version > '3'")


def test_the_state_of_the_repository_is_noted(tmp_path: Path) -> None:
    wheel = write_wheel(tmp_path / "repo", "mine", "1.0")

    def git(*words: str) -> str:
        command = ["git", "-C", str(wheel.parent), *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "one")
    commit = git("rev-parse", "HEAD")
    assert build(archive(wheel), tmp_path).origin["state"] == "clean"
    (wheel.parent / "new.py").write_text("")
    origin = build(archive(wheel), tmp_path).origin
    assert (origin["commit"], origin["state"]) == (commit, "dirty")
    assert origin["from"] == "repo/mine-1.0-py3-none-any.whl"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (Source("git", "file:///nowhere/at/all.git"), "cannot clone"),
        (Source("git", "--upload-pack=evil"), "is not a git URL"),
        (Source("archive", "ftp://example.invalid/x-1-py3-none-any.whl"), "only http and https"),
        (Source("archive", "http://127.0.0.1:9/x-1-py3-none-any.whl"), "cannot download"),
    ],
)
def test_sources_that_cannot_be_had(tmp_path: Path, source: Source, message: str) -> None:
    with pytest.raises(LockError, match=message):
        build(source, tmp_path)


def test_git_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LockError, match="git is not installed"):
        build(Source("git", "https://example.invalid/x.git"), tmp_path)


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    wheel = write_wheel(tmp_path / "out", "mine", "1.0")
    (tmp_path / ".dsenv").write_text("in the way")
    with pytest.raises(LockError, match="cannot keep the wheel"):
        build(archive(wheel), tmp_path)
