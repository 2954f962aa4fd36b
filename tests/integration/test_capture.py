"""`capture` in front of real processes: streams, signals, exit codes, terminals, and what goes wrong."""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from dsenv.agent.capture import spool
from dsenv.runs import index
from dsenv.runs.record import Record
from dsenv.runs.store.folder import FolderStore

REPOSITORY = str(Path(__file__).parents[2])
AGENT = [sys.executable, "-m", "dsenv.agent", "capture"]


def capture(
    store: Path, command: list[str], *options: str, env: Mapping[str, str] | None = None, **settings: object
) -> subprocess.CompletedProcess[bytes]:
    """Capture a command; `settings` are those of `subprocess.run`."""
    chosen: dict[str, Any] = {"capture_output": True, "stdin": subprocess.DEVNULL} | settings
    words = [*AGENT, "--store", str(store), *options, "--", *command]
    done: subprocess.CompletedProcess[bytes] = subprocess.run(
        words, check=False, timeout=60, env=dict(os.environ) | dict(env or {}), **chosen
    )
    return done


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def only(store: Path) -> Record:
    opened = FolderStore(store)
    (found,) = index.newest(opened)
    return Record(opened, found.id)


def log(record: Record) -> dict[str, bytes]:
    streams = {"stdout": b"", "stderr": b""}
    for chunk in record.output():
        streams[chunk.stream] += chunk.data
    return streams


def eventually(condition: Callable[[], bool], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def test_bytes_pass_unchanged_and_are_kept_with_their_stream(tmp_path: Path) -> None:
    code = (
        "import os\nfor n in range(200):\n os.write(1, bytes(range(256)) * 20)\n"
        " os.write(2, b'\\xff\\x00 err %d\\n' % n)"
    )
    bare = subprocess.run(python(code), check=True, capture_output=True)
    done = capture(tmp_path, python(code))
    assert (done.returncode, done.stdout, done.stderr) == (0, bare.stdout, bare.stderr)
    record = only(tmp_path)
    assert log(record) == {"stdout": bare.stdout, "stderr": bare.stderr}
    assert record.data["status"] == "succeeded"
    assert record.data["signature"] is None
    assert record.data["output_bytes"] == (record.store.size(f"runs/{record.id[:4]}/") or record.data["output_bytes"])


def test_one_pipe_for_both_keeps_the_order(tmp_path: Path) -> None:
    code = "import os\nfor n in range(300): os.write(1 + n % 2, b'%d\\n' % n)"
    done = capture(tmp_path, python(code), capture_output=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.stdout.split() == [b"%d" % n for n in range(300)]


@pytest.mark.parametrize("code", [0, 1, 3, 255])
def test_the_exit_code_is_the_commands(code: int, tmp_path: Path) -> None:
    assert capture(tmp_path, ["sh", "-c", f"exit {code}"]).returncode == code
    record = only(tmp_path)
    assert record.data["exit"] == code
    assert (record.data["signature"] is None) == (code == 0)


def test_a_command_that_is_not_there(tmp_path: Path) -> None:
    done = capture(tmp_path, ["no-such-command-here"])
    assert done.returncode == 127
    assert b"no-such-command-here" in done.stderr
    assert only(tmp_path).data["exit"] == 127


def test_a_command_that_cannot_be_executed(tmp_path: Path) -> None:
    file = tmp_path / "data.txt"
    file.write_text("not a program")
    assert capture(tmp_path / "store", [str(file)]).returncode == 126
    assert only(tmp_path / "store").data["exit"] == 126


@pytest.mark.parametrize("words", [[], ["--nonsense", "--", "true"], ["--store"], ["--kind", "x", "--", "true"]])
def test_arguments_that_make_no_sense_are_125_and_start_nothing(words: list[str]) -> None:
    done = subprocess.run([*AGENT, *words], check=False, capture_output=True, text=True)
    assert done.returncode == 125
    assert "usage: capture" in done.stderr


@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL", "SIGSEGV", "SIGINT"])
def test_capture_dies_by_the_signal_that_the_command_died_by(name: str, tmp_path: Path) -> None:
    number = signal.Signals[name]
    done = capture(tmp_path, ["sh", "-c", f"echo before; kill -{name[3:]} $$"])
    assert done.returncode == -number
    record = only(tmp_path)
    assert (record.data["exit"], record.data["signal"], record.data["status"]) == (None, name, "failed")
    found = record.data["signature"]
    assert found is not None and (found["kind"], found["signal"]) == ("signal", name)
    assert log(record)["stdout"] == b"before\n"


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"])
def test_signals_are_forwarded(name: str, tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\n"
        f"signal.signal(signal.{name}, lambda n, f: (os.write(1, b'got %d\\n' % n), sys.exit(9)))\n"
        "os.write(1, b'ready\\n')\nsignal.pause()"
    )
    process = subprocess.Popen(
        [*AGENT, "--store", str(tmp_path), "--", *python(code)], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.Signals[name])
    assert process.stdout.read() == b"got %d\n" % signal.Signals[name]
    process.stdout.close()
    assert process.wait(20) == 9


def test_standard_input_passes_and_is_kept(tmp_path: Path) -> None:
    data = os.urandom(300_000)
    code = "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read())"
    done = capture(tmp_path, python(code), stdin=None, input=data)
    assert done.stdout == data
    record = only(tmp_path)
    stdin = record.data["stdin"]
    assert (stdin["kind"], stdin["size"], stdin["truncated"]) == ("pipe", len(data), False)
    assert record.blob(stdin["blob"]) == data


def test_standard_input_from_a_file_is_the_commands_own(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"one\ntwo\nthree\n")
    with (tmp_path / "in").open("rb") as file:
        done = capture(tmp_path / "store", ["head", "-c", "4"], stdin=file)
    assert done.stdout == b"one\n"
    record = only(tmp_path / "store")
    assert record.blob(record.data["stdin"]["blob"]) == b"one\ntwo\nthree\n"


def test_of_a_file_that_is_partly_read_the_rest_is_kept(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"one\ntwo\nthree\n")
    words = " ".join([*AGENT, "--store", str(tmp_path / "store"), "--", "cat"])
    with (tmp_path / "in").open("rb") as file:
        done = subprocess.run(["sh", "-c", f"read line; {words}"], stdin=file, check=True, capture_output=True)
    record = only(tmp_path / "store")
    assert done.stdout == record.blob(record.data["stdin"]["blob"]) == b"two\nthree\n"


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    words = " ".join([*AGENT, "--store", str(tmp_path / "store"), "--"])
    script = f"cd {gone} && rmdir {gone} && {words} sh -c 'echo here; exit 3'"
    done = subprocess.run(
        ["sh", "-c", script], check=False, capture_output=True, env=os.environ | {"PYTHONPATH": REPOSITORY}
    )
    assert (done.returncode, done.stdout) == (3, b"here\n")


@pytest.mark.skipif(os.getuid() != 0 or sys.platform != "linux", reason="a control group of one's own needs root")
def test_a_kill_for_want_of_memory_is_called_that(tmp_path: Path) -> None:
    group = Path("/sys/fs/cgroup/memory") / f"dsenv-test-{os.getpid()}"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(120 << 20))
    except OSError:
        pytest.skip("this container may not make control groups")
    try:
        words = " ".join([*AGENT, "--store", str(tmp_path), "--", sys.executable, "-c", "'x = bytearray(300 << 20)'"])
        script = f"echo $$ > {group}/cgroup.procs && exec {words}"
        done = subprocess.run(["sh", "-c", script], check=False, capture_output=True, timeout=60)
        assert done.returncode == -signal.SIGKILL
    finally:
        eventually(lambda: not (group / "cgroup.procs").read_text())
        group.rmdir()
    found = only(tmp_path).data["signature"]
    assert found is not None
    assert (found["signal"], found["cause"]) == ("SIGKILL", "out-of-memory")


def test_standard_input_that_never_ends_is_not_waited_for(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    try:
        assert capture(tmp_path, ["true"], stdin=reader).returncode == 0
    finally:
        os.close(reader)
        os.close(writer)


def test_a_reader_that_goes_away_ends_the_command(tmp_path: Path) -> None:
    words = " ".join([*AGENT, "--store", str(tmp_path), "--", "yes"])
    done = subprocess.run(
        ["bash", "-c", f"{words} | head -n 2; echo ${{PIPESTATUS[0]}}"], check=True, capture_output=True
    )
    assert done.stdout.split() == [b"y", b"y", b"141"]


def test_a_process_that_the_command_leaves_behind_does_not_hold_us(tmp_path: Path) -> None:
    begun = time.monotonic()
    done = capture(tmp_path, ["sh", "-c", "(sleep 20; echo late) & echo early"])
    assert done.stdout == b"early\n"
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "1>&- 2>&-"])
def test_streams_that_are_closed_stay_closed(closed: str, tmp_path: Path) -> None:
    code = (
        "import os, sys\nfor n in (0, 1, 2):\n try: os.fstat(n)\n"
        " except OSError: open('closed', 'a').write(str(n))\nsys.exit(4)"
    )
    words = {"bare": python(code), "captured": [*AGENT, "--store", str(tmp_path / "store"), "--", *python(code)]}
    found = {}
    for name, argv in words.items():
        folder = tmp_path / name
        folder.mkdir()
        done = subprocess.run(["sh", "-c", f'exec "$@" {closed}', "sh", *argv], check=False, cwd=folder)
        found[name] = (done.returncode, (folder / "closed").read_text())
    assert found["bare"] == found["captured"]
    assert only(tmp_path / "store").data["exit"] == 4


def test_an_empty_environment_stays_empty(tmp_path: Path) -> None:
    words = ["env", "-i", *AGENT, "--store", str(tmp_path), "--", "/usr/bin/env"]
    lines = subprocess.run(words, check=True, capture_output=True).stdout.splitlines()
    names = {line.partition(b"=")[0] for line in lines}
    assert names == {b"PYTHONPATH", b"PYTHONHASHSEED", b"DSENV_PROCESS"}, (
        "what our Python sets for itself is not the command's"
    )


def test_the_program_sees_its_environment_and_path_unchanged(tmp_path: Path) -> None:
    code = (
        "import os, sys, json; print(json.dumps([dict(os.environ), sys.path, sys.argv, sorted(sys.modules),"
        " repr(open), open.__name__]))"
    )
    for extra in ({}, {"PYTHONPATH": "/somewhere:"}, {"PYTHONHASHSEED": "7"}):
        env = dict(os.environ) | extra
        bare = json.loads(subprocess.run(python(code), check=True, capture_output=True, env=env).stdout)
        seen = json.loads(capture(tmp_path, python(code), env=extra).stdout)
        assert seen[:3] == bare[:3]
        assert set(seen[3]) - set(bare[3]) <= {
            "atexit",
            "_json",
            "_posixsubprocess",
            "builtins",
            "time",
            "itertools",
            "faulthandler",
        }
        assert seen[4:] == bare[4:]


def test_a_sitecustomize_of_the_users_still_runs(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.from_site = __name__")
    code = "import sys, sitecustomize; print(sys.from_site, sitecustomize.__file__)"
    done = capture(tmp_path / "store", python(code), env={"PYTHONPATH": str(tmp_path)})
    assert done.stdout.decode().split() == ["sitecustomize", str(tmp_path / "sitecustomize.py")]


def test_the_hash_seed_is_drawn_kept_and_given(tmp_path: Path) -> None:
    code = "print(hash('a'))"
    done = capture(tmp_path, python(code))
    seed = only(tmp_path).data["hash_seed"]
    again = subprocess.run(python(code), check=True, capture_output=True, env=os.environ | {"PYTHONHASHSEED": seed})
    assert again.stdout == done.stdout


@pytest.mark.parametrize(
    "start",
    [
        "subprocess.run([sys.executable, 'child.py'])",
        "subprocess.run([sys.executable, 'child.py'], env={**os.environ, 'A': 'b'})",
        "subprocess.run([sys.executable, 'child.py'], env={})",
        "os.spawnve(os.P_WAIT, sys.executable, [sys.executable, 'child.py'], {})",
        "os.system(sys.executable + ' child.py')",
        "os.execve(sys.executable, [sys.executable, 'child.py'], dict(os.environ))",
    ],
)
def test_children_are_followed_however_they_are_started(start: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "parent.py").write_text(f"import os, subprocess, sys\n{start}\nsys.exit(1)")
    (tmp_path / "child.py").write_text("import os\nprint(os.environ.get('PYTHONPATH'), flush=True)\nopen('no')\n")
    done = capture(tmp_path / "store", [sys.executable, "parent.py"], cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, b"None\n")
    found = only(tmp_path / "store").data["signature"]
    assert found is not None and found["type"] == "FileNotFoundError", found
    assert found["frame"] is not None and found["frame"]["file"] == "child.py"


LOGGED = "import logging\ntry: 1/0\nexcept Exception: logging.exception('x')\nraise SystemExit(5)"
IN_A_THREAD = "import threading\nt = threading.Thread(target=lambda: 1/0)\nt.start(); t.join()\nraise SystemExit(2)"


@pytest.mark.parametrize(
    ("body", "kind", "how"),
    [
        ("import sys\nsys.excepthook = lambda *a: None\n1/0", "ZeroDivisionError", "uncaught"),
        ("import sys\ntry: 1/0\nexcept Exception: sys.exit(4)", "ZeroDivisionError", "exit"),
        (LOGGED, "ZeroDivisionError", "logged"),
        ("def f(: pass", "SyntaxError", "uncaught"),
        ("def f(): f()\nf()", "RecursionError", "uncaught"),
        (IN_A_THREAD, "ZeroDivisionError", "thread"),
        ("l = []\nwhile True: l.append(open(__file__))", "OSError", "uncaught"),
        ("raise ExceptionGroup('many', [ValueError('a'), KeyError('b')])", "ExceptionGroup", "uncaught"),
        ("import missing_module_x", "ModuleNotFoundError", "uncaught"),
    ],
)  # fmt: skip
def test_failures_of_every_kind_are_found(body: str, kind: str, how: str, tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text(body)
    bare = subprocess.run([sys.executable, "job.py"], check=False, capture_output=True, cwd=tmp_path)
    done = capture(tmp_path / "store", [sys.executable, "job.py"], cwd=tmp_path)
    assert (done.returncode, done.stdout) == (bare.returncode, bare.stdout)
    # Without descriptors, whoever measures coverage fails at the end as well.
    assert done.stderr.partition(b"\nException ignored")[0] == bare.stderr.partition(b"\nException ignored")[0]
    record = only(tmp_path / "store")
    found, frames = record.data["signature"], record.frames()
    assert found is not None and found["type"] == kind, found
    assert frames["primary"] is not None and frames["failures"][frames["primary"]]["how"] == how
    assert found["frame"] is not None and found["frame"]["file"] == "job.py"


def test_an_exit_code_without_an_exception_is_a_failure(tmp_path: Path) -> None:
    capture(tmp_path, python("import sys; sys.exit(7)"))
    found = only(tmp_path).data["signature"]
    assert found is not None and (found["kind"], found["exit"]) == ("exit", 7)


def test_a_step_that_the_script_goes_on_after_is_not_the_failure(tmp_path: Path) -> None:
    script = f"{sys.executable} -c 1/0; {sys.executable} -c 'print(1)'; exit 3"
    capture(tmp_path, ["sh", "-c", script])
    record = only(tmp_path)
    found = record.data["signature"]
    assert found is not None and found["kind"] == "exit"
    assert [item["type"] for item in record.data["related"]] == ["ZeroDivisionError"]


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


def test_json_is_one_document_and_the_commands_stdout_goes_to_stderr(tmp_path: Path) -> None:
    done = capture(tmp_path, ["sh", "-c", "echo out; echo err >&2; exit 3"], "--json")
    assert done.returncode == 3
    assert sorted(done.stderr.split()) == [b"err", b"out"]
    document = json.loads(done.stdout)
    assert (document["exit"], document["status"], document["store"]) == (3, "failed", str(tmp_path))
    assert (tmp_path / document["record"] / "record.json").exists()


def read_terminal(master: int, until: bytes, seconds: float = 15) -> bytes:
    seen = b""
    deadline = time.monotonic() + seconds
    while until not in seen and time.monotonic() < deadline:
        if select.select([master], [], [], 0.1)[0]:
            try:
                seen += os.read(master, 4096)
            except OSError:
                break
    return seen


def test_on_a_terminal_the_command_has_one_too(tmp_path: Path) -> None:
    code = (
        "import os, sys, signal\n"
        "print([os.isatty(n) for n in (0, 1, 2)], os.get_terminal_size(), flush=True)\n"
        "try: print('hello', input('name? '), flush=True); signal.pause()\n"
        "except KeyboardInterrupt: print('interrupted', flush=True); sys.exit(8)"
    )
    pid, master = pty.fork()
    if pid == 0:
        os.execvp(AGENT[0], [*AGENT, "--store", str(tmp_path), "--", *python(code)])
    try:
        import fcntl
        import struct
        import termios

        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 99, 0, 0))
        seen = read_terminal(master, b"name? ")
        assert b"[True, True, True]" in seen
        os.write(master, b"you\n")
        assert b"hello you" in read_terminal(master, b"hello you")
        os.write(master, b"\x03")
        assert b"interrupted" in read_terminal(master, b"interrupted")
        read_terminal(master, b"\0never", 0.5)
        _, status = os.waitpid(pid, 0)
        assert os.waitstatus_to_exitcode(status) == 8
    finally:
        os.close(master)
    record = only(tmp_path)
    assert record.data["stdin"] == {"kind": "terminal"}
    assert b"hello you" in log(record)["stdout"]


@pytest.mark.skipif(os.getuid() != 0 or sys.platform != "linux", reason="a PID namespace needs root")
def test_as_the_first_process_it_reaps_and_passes_the_signal_on_as_a_number(tmp_path: Path) -> None:
    first = ["unshare", "--pid", "--fork", "--mount-proc", *AGENT, "--store", str(tmp_path), "--"]
    if subprocess.run(
        ["unshare", "--pid", "--fork", "--mount-proc", "true"], check=False, capture_output=True
    ).returncode:
        pytest.skip("this container cannot make namespaces")
    script = "(sh -c 'sleep 0.1; exit 5' &) ; sleep 0.4; ps -eo stat= | grep -c Z; kill -TERM $$"
    done = subprocess.run([*first, "sh", "-c", script], check=False, capture_output=True, timeout=60)
    assert done.returncode == 128 + signal.SIGTERM
    assert done.stdout.strip() in {b"0", b""}
    assert only(tmp_path).data["signal"] == "SIGTERM"


def test_a_signal_to_the_whole_group_reaches_the_command_once(tmp_path: Path) -> None:
    script = "trap 'echo caught; exit 12' INT; echo ready; while :; do sleep 0.05; done"
    process = subprocess.Popen(
        [*AGENT, "--group-signals", "--store", str(tmp_path), "--", "sh", "-c", script],
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        os.killpg(process.pid, signal.SIGINT)
        assert process.stdout.read() == b"caught\n"
        assert process.wait(30) == 12
