"""What `capture` once changed: each case was found by tests/fuzz/test_capture_transparent.py, or while it was made."""

from __future__ import annotations

import os
import pty
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.integration.capturing import AGENT, REPOSITORY, capture, only, python
from tests.measuring import unmeasured


@contextmanager
def started(store: Path, code: str, **settings: object) -> Iterator[subprocess.Popen[bytes]]:
    """A captured Python that waits for a line in the named pipe `on` before it ends."""
    os.mkfifo("on")
    wait = "\nopen('on').readline()"
    words = [*AGENT, "--store", str(store), "--", *python("import os, signal, sys\n" + code + wait)]
    env = unmeasured() | {"PYTHONPATH": REPOSITORY}
    with subprocess.Popen(words, env=env, **settings) as process:  # type: ignore[call-overload]
        try:
            yield process
            Path("on").write_text("\n")
        except BaseException:
            process.kill()
            raise


def test_who_reads_is_told_when_the_command_closes_its_output(tmp_path: Path) -> None:
    pipe = subprocess.PIPE
    with started(tmp_path, "os.write(1, b'all'); os.close(1)", stdout=pipe, stderr=pipe) as process:
        assert process.stdout is not None
        assert process.stdout.read() == b"all", "read to the end while the command lives"
        assert process.poll() is None


@pytest.mark.parametrize("size", [0, 50_000])
def test_who_writes_is_told_when_the_command_closes_its_input(size: int, tmp_path: Path) -> None:
    read, write = os.pipe()
    with started(tmp_path, "os.close(0); os.write(1, b'closed')", stdin=read, stdout=subprocess.PIPE) as process:
        os.close(read)
        assert process.stdout is not None
        assert process.stdout.read(6) == b"closed"
        with pytest.raises(BrokenPipeError):
            while True:
                os.write(write, b"x" * (size or 1))
    os.close(write)


def test_input_that_is_not_waited_for_is_no_end(tmp_path: Path) -> None:
    """A pipe that its writer's program made so that reading never waits."""
    read, write = os.pipe()
    os.set_blocking(read, False)
    code = "os.write(1, b'?'); os.write(1, sys.stdin.buffer.read())"
    with started(tmp_path, code, stdin=read, stdout=subprocess.PIPE) as process:
        os.close(read)
        assert process.stdout is not None
        assert process.stdout.read(1) == b"?"
        os.write(write, b"late")
        os.close(write)
        assert process.stdout.read(4) == b"late"


def test_what_the_command_sets_at_its_terminal_stays(tmp_path: Path) -> None:
    words = " ".join([*AGENT, "--store", str(tmp_path), "--", "stty", "-echo"])
    pid, master = pty.fork()
    if pid == 0:
        os.execvp("sh", ["sh", "-c", f"{words}; stty -a; {words.replace('-echo', 'echo')}; stty -a"])
    seen = b""
    with suppress(OSError):
        while data := os.read(master, 4096):
            seen += data
    os.close(master)
    assert os.waitpid(pid, 0)[1] == 0
    assert [word for word in seen.split() if word in (b"echo", b"-echo")] == [b"-echo", b"echo"]


def test_a_descriptor_that_was_given_for_the_command_ends_with_it(tmp_path: Path) -> None:
    read, write = os.pipe()
    with started(tmp_path, f"os.write({write}, b'all'); os.close({write})", pass_fds=[write]):
        os.close(write)
        with open(read, "rb") as file:
            assert file.read() == b"all"


def test_a_command_finds_its_reader_gone_at_its_first_write(tmp_path: Path) -> None:
    code = (
        "import select\npoll = select.poll(); poll.register(1, 0); poll.poll(20000)\n"
        "try: os.write(1, b'x')\nexcept BrokenPipeError: os._exit(6)"
    )
    read, write = os.pipe()
    with started(tmp_path, code, stdout=write) as process:
        os.close(write)
        os.close(read)
        assert process.wait(30) == 6
        waiting = os.open("on", os.O_RDONLY | os.O_NONBLOCK)
    os.close(waiting)


def test_children_are_seen_to_end_where_the_caller_ignores_them(tmp_path: Path) -> None:
    start = "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    show = "import os, signal; os._exit(7 + (signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN))"
    words = [*AGENT, "--store", str(tmp_path), "--", *python(show)]
    assert subprocess.run([*python(start), *words], check=False, timeout=30).returncode == 8
    assert only(tmp_path).data["exit"] == 8


def test_a_command_that_signals_its_group_has_the_signal_once(tmp_path: Path) -> None:
    code = (
        "import os, signal, time\ngot = []\nsignal.signal(signal.SIGUSR1, lambda *_: got.append(1))\n"
        "os.kill(0, signal.SIGUSR1)\ntime.sleep(0.3)\nos._exit(len(got))"
    )
    done = capture(tmp_path, python(code), start_new_session=True, measured=False)
    assert done.returncode == 1


def test_a_script_that_names_no_interpreter_is_run_by_sh(tmp_path: Path) -> None:
    script = tmp_path / "nightly"
    script.write_text("echo $0 $1; exit 3\n")
    script.chmod(0o755)
    for name in (str(script), "nightly"):
        done = capture(tmp_path / "store", [name, "now"], env={"PATH": f"{tmp_path}:{os.environ['PATH']}"})
        assert (done.returncode, done.stdout, done.stderr) == (3, f"{script} now\n".encode(), b"")


def test_an_alarm_that_was_set_before_is_the_commands(tmp_path: Path) -> None:
    start = "import os, signal, sys; signal.setitimer(signal.ITIMER_REAL, 1.5); os.execv(sys.argv[1], sys.argv[1:])"
    words = [*AGENT, "--store", str(tmp_path), "--", "sleep", "20"]
    assert subprocess.run([*python(start), *words], check=False, timeout=15).returncode == -signal.SIGALRM
    assert only(tmp_path).data["signal"] == "SIGALRM"


@pytest.mark.parametrize("number", [signal.SIGABRT, signal.SIGALRM, signal.SIGRTMIN + 3])
def test_other_signals_are_passed_on_too(number: int, tmp_path: Path) -> None:
    """As a service manager sends SIGABRT to a service that does not answer."""
    code = f"signal.signal({number:d}, lambda *_: os._exit(9)); os.write(1, b'.')"
    with started(tmp_path, code, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.read(1) == b"."
        process.send_signal(number)
        assert process.wait(30) == 9
        waiting = os.open("on", os.O_RDONLY | os.O_NONBLOCK)
    os.close(waiting)


def test_a_signal_without_a_name_is_recorded(tmp_path: Path) -> None:
    number = signal.SIGRTMIN + 6
    assert capture(tmp_path, ["sh", "-c", f"kill -{number:d} $$"]).returncode == -number
    assert only(tmp_path).data["signal"] == "SIGRTMIN+6"


@pytest.mark.parametrize("limit", [6, 7, 9, 12])
def test_a_command_with_few_descriptors_runs(limit: int, tmp_path: Path) -> None:
    words = [*AGENT, "--store", str(tmp_path), "--", "sh", "-c", "cat; ulimit -n; exit 3"]
    done = subprocess.run(
        ["sh", "-c", f'ulimit -n {limit}; exec "$@"', "sh", *words],
        check=False, input=b"in ", capture_output=True, timeout=60, env=unmeasured(),
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (3, b"in %d\n" % limit, b"")


@pytest.mark.skipif(
    os.getuid() != 0 or not shutil.which("prlimit"), reason="the limit counts for other users than root"
)
@pytest.mark.parametrize("limit", [3, 4, 5])
def test_a_command_runs_where_no_thread_can_be_started(limit: int, tmp_path: Path) -> None:
    user = ["setpriv", "--reuid", str(23_000 + os.getpid() % 10_000), "--clear-groups"]
    env = unmeasured() | {"PYTHONPATH": REPOSITORY}
    agent = [sys.executable, "-m", "dsenv.agent", "capture"]
    if subprocess.run([*user, *agent, "--", "true"], check=False, capture_output=True, cwd="/", env=env).returncode:
        pytest.skip("other users than root do not reach this Python")
    words = [*user, "prlimit", f"--nproc={limit}", *agent, "--store", "/nowhere", "--", "sh", "-c"]
    done = subprocess.run(
        [*words, "cat; echo ran; exit 3"], check=False, input=b"in ", capture_output=True, timeout=60, cwd="/", env=env
    )
    assert (done.returncode, done.stdout, done.stderr) == (3, b"in ran\n", b"")


def test_closed_streams_are_not_taken_by_files_of_ours(tmp_path: Path) -> None:
    words = [*AGENT, "--store", str(tmp_path), "--", "sh", "-c", "sleep 0.3"]
    assert subprocess.run(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *words], check=False).returncode == 0
    record = only(tmp_path)
    assert record.data["stdin"] == {"kind": "null"}
    assert record.data["trouble"] == []
