"""A workstation's folder on somebody's machine goes, and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dsenv.agent import jobs, retire
from dsenv.agent.retire import RetireError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "hosted" / "proj-default-1"
    (folder / "home").mkdir(parents=True)
    (folder / "dsenv.json").write_text(json.dumps({"id": folder.name}))
    return folder


def test_it_goes_with_all_that_is_in_it_and_links_are_not_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs/precious").write_text("x")
    (folder / "home/link").symlink_to(tmp_path / "theirs")
    (folder / "home/closed/inner").mkdir(parents=True)
    (folder / "home/closed/inner/file").write_text("x")
    (folder / "home/closed").chmod(0o500)
    assert retire.main([str(folder), folder.name]) == 0
    assert not folder.exists()
    assert (tmp_path / "theirs/precious").read_text() == "x"


@pytest.mark.parametrize("damage", ["no-marker", "other-id", "garbage", "list", "link", "other-name"])
def test_what_is_no_workstation_is_left_alone(folder: Path, damage: str, capsys: pytest.CaptureFixture[str]) -> None:
    target, name, marker = folder, folder.name, folder / "dsenv.json"
    (folder / "home/precious").write_text("x")
    match damage:
        case "no-marker":
            marker.unlink()
        case "other-id":
            marker.write_text('{"id": "another"}')
        case "garbage":
            marker.write_bytes(b"\xff")
        case "list":
            marker.write_text("[]")
        case "link":
            real = folder.rename(folder.with_name("real"))
            folder.symlink_to(real)
            target, folder = folder, real
        case _:
            name = "proj-default-2"
    assert retire.main([str(target), name]) == 1
    assert str(target) in capsys.readouterr().err
    assert (folder / "home/precious").read_text() == "x"


def test_what_cannot_be_removed_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As files that root or a container has made in it; which of ours root may not remove depends on the kernel."""

    def refuse(path: str, **options: object) -> None:
        raise PermissionError(1, "Operation not permitted", path)

    (folder / "home/file").write_text("x")
    monkeypatch.setattr(os, "unlink", refuse)
    with pytest.raises(RetireError, match=r"cannot remove .*: Operation not permitted"):
        retire.retire(str(folder), folder.name)
    assert (folder / "dsenv.json").exists()


def test_jobs_are_ended_first(folder: Path) -> None:
    state = folder / "home/.dsenv"
    script = f"import time, sys; open({str(folder / 'home/started')!r}, 'w').close(); time.sleep(60)"
    code = (
        "import sys; from dsenv.agent import jobs, detached\n"
        f"job = jobs.Job({str(state)!r}, 'one'); job.create({{'argv': [], 'root': '/'}})\n"
        f"detached.start(job, {{'argv': [sys.executable, '-c', {script!r}], 'root': '/'}}, {{}})\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=20)
    deadline = time.monotonic() + 20
    while not (folder / "home/started").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    supervisor = jobs.Job(str(state), "one").supervisor()
    assert supervisor is not None
    assert retire.main([str(folder), folder.name]) == 0
    while supervisor.alive():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert not folder.exists()


def test_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert retire.main([]) == 2
    assert "usage" in capsys.readouterr().err
