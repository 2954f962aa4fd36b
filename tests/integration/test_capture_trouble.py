"""What goes wrong beside a captured command: kills, full disks, stores that are away. It goes on."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dsenv.agent.capture import spool
from tests.integration.capturing import AGENT, capture, eventually, log, only, python


def test_secrets_are_in_no_file_of_the_record(tmp_path: Path) -> None:
    secret, token = "hunter2-Correct-Horse", "ghp_" + "a1B2" * 9
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / ".env").write_text(f"DB_PASSWORD={secret}")
    (tmp_path / "job.py").write_text(
        "import os, sys\npassword = os.environ['DB_PASSWORD']\nurl = f'postgres://me:{password}@db/x'\n"
        "print('connecting to', url)\nprint('token', sys.argv[2], file=sys.stderr)\n"
        "raise ValueError(f'cannot use {password}')"
    )
    words = [sys.executable, "job.py", "--token", token]
    done = capture(tmp_path / "store", words, cwd=tmp_path, env={"DB_PASSWORD": secret})
    assert secret.encode() in done.stdout and token.encode() in done.stderr, "the command's own output is not touched"
    for file in (tmp_path / "store").rglob("*"):
        if file.is_file() and "blobs" not in file.parts:
            assert secret.encode() not in file.read_bytes(), file
            assert token.encode() not in file.read_bytes(), file
    record = only(tmp_path / "store")
    tree = record.tree()
    assert tree is not None and [item["path"] for item in tree["files"]] == ["job.py", "pyproject.toml"]
    assert record.data["code"]["skipped"] == [{"path": ".env", "reason": "secret"}]
    assert {(item["where"], item["name"]) for item in record.data["redactions"]} >= {
        ("env", "DB_PASSWORD"),
        ("argv", "3"),
    }


def test_files_of_the_store_are_the_owners_only(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        capture(tmp_path / "store", python("open('/no')"))
    finally:
        os.umask(before)
    for path in (tmp_path / "store").rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path


def test_a_command_that_is_killed_leaves_its_output_and_its_inputs(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("a,b\n")
    code = "import os\nopen('data.csv').read()\nprint('last words', flush=True)\nos.kill(os.getpid(), 9)"
    assert capture(tmp_path / "store", python(code), cwd=tmp_path).returncode == -signal.SIGKILL
    record = only(tmp_path / "store")
    assert log(record)["stdout"] == b"last words\n"
    (item,) = record.inputs()
    assert record.blob(item["blob"]) == b"a,b\n"


def test_a_capture_that_is_killed_leaves_what_is_known(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*AGENT, "--store", str(tmp_path), "--", *python("import time; print('alive', flush=True); time.sleep(60)")],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.stdout is not None and process.stdout.readline() == b"alive\n"
    eventually(lambda: any(tmp_path.glob("runs/*/*/*/*/output")) and log(only(tmp_path))["stdout"] == b"alive\n")
    process.kill()
    process.wait()
    process.stdout.close()
    os.killpg(process.pid, signal.SIGKILL)
    record = only(tmp_path)
    assert not record.complete
    assert record.data["command"][1] == "-c"
    (left,) = tmp_path.glob(f"{spool._NAME}*")
    os.utime(left, (0, 0))
    capture(tmp_path, ["true"])
    assert not left.exists(), "the next capture removes what a killed one left"


def test_a_store_that_cannot_be_reached_changes_nothing(tmp_path: Path) -> None:
    env = {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "y",
        "TMPDIR": str(tmp_path),
    }
    words = [*AGENT, "--store", "s3://nowhere/x", "--", "sh", "-c", "echo out; echo err >&2; exit 3"]
    done = subprocess.run(words, check=False, capture_output=True, env=os.environ | env, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (3, b"out\n", b"err\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.getuid() != 0, reason="permissions do not bind root; here a file is in the way")
def test_a_store_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = capture(tmp_path / "file" / "store", ["sh", "-c", "echo out; exit 3"])
    assert (done.returncode, done.stdout, done.stderr) == (3, b"out\n", b"")


@pytest.mark.skipif(os.getuid() != 0 or sys.platform != "linux", reason="mounting a small file system needs root")
def test_a_full_disk_changes_nothing_and_the_end_is_still_recorded(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(disk)], check=False).returncode:
        pytest.skip("this container cannot mount")
    try:
        code = "import sys\nfor n in range(20000): print('x' * 100)\nsys.exit(3)"
        done = capture(disk / "store", python(code), cwd=tmp_path)
        assert (done.returncode, len(done.stdout), done.stderr) == (3, 20000 * 101, b"")
        record = only(disk / "store")
        assert (record.complete, record.data["exit"]) == (True, 3)
        assert any("not complete" in line for line in record.data["trouble"])
        shutil.rmtree(disk / "store")
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_both_killed_at_once_leave_what_was_streamed(tmp_path: Path) -> None:
    code = (
        "import os, signal\nos.write(1, b'here\\n'); os.read(0, 1); os.kill(os.getppid(), 9); os.kill(os.getpid(), 9)"
    )
    with subprocess.Popen(
        [*AGENT, "--store", str(tmp_path), "--", *python(code)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        assert process.stdout.readline() == b"here\n"
        eventually(lambda: b"here" in b"".join(file.read_bytes() for file in tmp_path.glob("runs/*/*/*/*/output")))
        process.stdin.write(b".")
        process.stdin.close()
        assert process.wait(20) == -signal.SIGKILL
    (folder,) = tmp_path.glob("runs/*/*/*/*")
    assert (folder / "started.json").exists() and not (folder / "record.json").exists()


@pytest.mark.skipif(os.getuid() != 0 or sys.platform != "linux", reason="mounting a small file system needs root")
def test_a_disk_that_is_full_from_the_start_changes_nothing(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(store)], check=True)
    try:
        with pytest.raises(OSError):
            (store / "filler").write_bytes(bytes(1 << 20))
        done = capture(store, python("import sys; print('went on'); sys.exit(3)"), env={"TMPDIR": str(store)})
        assert (done.returncode, done.stdout, done.stderr) == (3, b"went on\n", b"")
    finally:
        subprocess.run(["umount", str(store)], check=True)


@pytest.mark.skipif(sys.platform != "linux", reason="the home is a file of the kernel")
def test_a_home_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    done = capture(tmp_path, python("print('went on')"), env={"HOME": "/proc", "XDG_CACHE_HOME": "/proc/x"})
    assert (done.returncode, done.stdout, done.stderr) == (0, b"went on\n", b"")
    assert only(tmp_path).data["status"] == "succeeded"
