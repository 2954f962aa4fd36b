"""`capture` in front of real processes: streams, signals, exit codes, terminals, environment."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.integration.capturing import AGENT, REPOSITORY, capture, log, only, python


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
    done = capture(tmp_path, ["sh", "-c", "sleep 600 & echo $!"])
    left = int(done.stdout)
    assert Path(f"/proc/{left}/comm").read_text() == "sleep\n", "it was waited for, or ended"
    os.kill(left, signal.SIGKILL)


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


def test_a_command_that_closes_its_terminal_before_it_ends_is_not_hung_up(tmp_path: Path) -> None:
    pid, master = pty.fork()
    if pid == 0:
        script = "echo seen; exec <&- >&- 2>&-; sleep 0.3; exit 5"
        os.execvp(AGENT[0], [*AGENT, "--store", str(tmp_path), "--", "sh", "-c", script])
    try:
        assert read_terminal(master, b"\0never") == b"seen\r\n"
        _, status = os.waitpid(pid, 0)
        assert os.waitstatus_to_exitcode(status) == 5
    finally:
        os.close(master)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device")
def test_output_that_finds_no_room_is_told_in_the_record(tmp_path: Path) -> None:
    """The command notices with its next write, as with any pipe whose reader has gone; of its last one we know."""
    with open("/dev/full", "wb") as full:
        words = [*AGENT, "--store", str(tmp_path), "--", "sh", "-c", "echo lost; exit 3"]
        assert subprocess.run(words, check=False, stdout=full).returncode == 3
    record = only(tmp_path)
    assert record.data["trouble"] == ["what the command wrote could not be passed on: No space left on device"]
    assert log(record)["stdout"] == b"lost\n"


def test_what_is_typed_while_it_starts_reaches_the_command(tmp_path: Path) -> None:
    """A line and an end of input, as a script types them that waits for nothing."""
    pid, master = pty.fork()
    if pid == 0:
        os.execvp(AGENT[0], [*AGENT, "--store", str(tmp_path), "--", "cat"])
    try:
        os.write(master, b"typed\n\x04")
        read_terminal(master, b"\0never")
        _, status = os.waitpid(pid, 0)
        assert os.waitstatus_to_exitcode(status) == 0
    finally:
        os.close(master)
    assert b"typed\r\ntyped\r\n" in log(only(tmp_path))["stdout"]


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
