"""The commands about workstations and runs, as a user types them, against a real SSH server."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dsenv.config import paths
from dsenv.providers.local import server, sshd
from dsenv.providers.local.layout import Layout, Saved

DSENV = [sys.executable, "-m", "dsenv"]
_CONFIG = """
[project]
name = "proj"
[workstations.default]
server = "{server}"
[sync]
ignore = ["secret.txt"]
[run]
env = {{ GREETING = "hello world" }}
[tasks.features]
run = "sh -c 'mkdir -p outputs; echo features > outputs/f.txt; echo made-features'"
[tasks.train]
run = "sh -c 'cat outputs/f.txt; echo rows={{rows}}'"
needs = ["features"]
params = {{ rows = 10 }}
[tasks.bad]
run = "sh -c 'exit 9'"
[tasks.after]
run = "touch never"
needs = ["bad"]
[tasks.one]
run = "x"
needs = ["two"]
[tasks.two]
run = "x"
needs = ["one"]
"""


def dsenv(*words: str, code: int | None = 0, stdin: bytes = b"", **options: Any) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run([*DSENV, *words], input=stdin, capture_output=True, timeout=60, check=False, **options)
    assert code is None or done.returncode == code, (done.returncode, done.stdout[-2000:], done.stderr[-2000:])
    return done


def answer(*words: str, **options: Any) -> Any:
    return json.loads(dsenv(words[0], "--json", *words[1:], **options).stdout)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project whose workstation runs."""
    root = tmp_path / "proj"
    root.mkdir()
    server = "sshd" if sshd.find() and os.getuid() == 0 else "builtin"
    (root / "dsenv.toml").write_text(_CONFIG.format(server=server))
    (root / "code.txt").write_text("code\n")
    monkeypatch.chdir(root)
    dsenv("up")
    yield root
    os.chdir(root)
    dsenv("down")


def _home() -> Path:
    return next(paths.workstations_dir().glob("proj-default-*")) / "home"


def test_up_is_seen_to_end_and_may_be_repeated(project: Path) -> None:
    begun = time.monotonic()
    again = answer("up")
    assert time.monotonic() - begun < 20
    assert (again["state"], again["was"]) == ("running", "running")
    listed = answer("ls")["workstations"]
    assert [(item["name"], item["state"], item["root"]) for item in listed] == [("default", "running", str(project))]
    assert b"dsenv-proj-default" in dsenv("ls").stdout
    assert answer("up", "--dry-run")["was"] == "running"
    assert b"running already" in dsenv("up", "--dry-run").stdout


def test_run_is_as_if_it_were_here(project: Path) -> None:
    script = r"cat code.txt; cat; printf '\0\377'; echo \"$GREETING\" >&2; exit 7"
    done = dsenv("run", "--progress", "none", "--", "sh", "-c", script, stdin=b"typed", code=7)
    assert done.stdout == b"code\ntyped\0\xff"
    assert done.stderr == b'"hello world"\n'
    assert dsenv("run", "--", "sh", "-c", "kill -KILL $$", code=137).stdout == b""
    assert b"no-such-command" in dsenv("run", "--", "no-such-command-at-all", code=127).stderr
    assert b"code.txt" in dsenv("run", "--", "./code.txt", code=126).stderr


def test_words_arrive_as_they_are(project: Path) -> None:
    words = ["a b", "'", '"', "$HOME", "*", "", "--json", "-d", "ä\n"]
    done = dsenv("run", "--progress=none", "--", "printf", "<%s>", *words)
    assert done.stdout.decode() == "".join(f"<{word}>" for word in words)


def test_one_json_document(project: Path) -> None:
    done = dsenv("run", "--json", "--", "sh", "-c", "echo out; exit 3", code=3)
    result = json.loads(done.stdout)
    assert (result["exit"], result["status"], result["command"]) == (3, "done", ["sh", "-c", "echo out; exit 3"])
    assert b"out\n" in done.stderr


def test_code_goes_there_and_outputs_come_back(project: Path) -> None:
    (project / "secret.txt").write_text("not to be synced")
    (project / "odd \n name").write_text("x")
    done = answer("run", "--", "sh", "-c", "ls; mkdir outputs; echo 1 > outputs/m; echo tmp > scratch; rm code.txt")
    assert done["outputs"]["files"] == ["outputs/m"]
    assert (project / "outputs/m").read_text() == "1\n"
    assert not (project / "scratch").exists()
    assert (project / "code.txt").exists()
    assert not (_home() / "proj/secret.txt").exists()
    (project / "code.txt").unlink()
    dsenv("run", "--", "sh", "-c", "! test -e code.txt && test -e scratch && test -e outputs/m")


def test_the_variables_that_are_asked_for(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROM_HERE", "here")
    monkeypatch.setenv("NOT_ASKED_FOR", "x")
    script = 'echo "$FROM_HERE,$GIVEN,${NOT_ASKED_FOR-none}"'
    done = dsenv("run", "--progress=none", "--env", "FROM_HERE", "--env", "GIVEN=a=b", "--", "sh", "-c", script)
    assert done.stdout == b"here,a=b,none\n"
    missing = dsenv("run", "--env", "NOT_SET_ANYWHERE", "--", "true", code=125)
    assert b"NOT_SET_ANYWHERE is not set" in missing.stderr


def test_secrets_are_used_and_kept_nowhere(project: Path, isolation: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = project / "dsenv.toml"
    config.write_text(config.read_text().replace("[run]", '[run]\nsecrets = ["WAREHOUSE_PASSWORD"]'))
    assert b"WAREHOUSE_PASSWORD is not set" in dsenv("run", "--", "true", code=125).stderr
    monkeypatch.setenv("WAREHOUSE_PASSWORD", "correct-horse-battery")
    done = dsenv("run", "--progress=none", "--", "sh", "-c", "test ${#WAREHOUSE_PASSWORD} = 21")
    assert done.stdout == b""
    for folder in (_home() / ".dsenv", paths.state_dir(), paths.data_dir() / "workstations"):
        for file in folder.rglob("*"):
            if file.is_file():
                assert b"correct-horse-battery" not in file.read_bytes(), file


def test_every_run_leaves_a_record(project: Path) -> None:
    ran = answer("run", "--", "sh", "-c", "exit 3", code=3)
    records = answer("runs")["runs"]
    assert [(item["id"], item["status"], item["exit"]) for item in records] == [(ran["id"], "failed", 3)]
    assert records[0]["command"] == ["sh", "-c", "exit 3"]
    assert records[0]["project"] == "proj"


def test_a_run_that_is_left_alone(project: Path) -> None:
    script = "echo 1; while ! test -e go; do sleep 0.05; done; echo 2; mkdir -p outputs; echo x > outputs/late; exit 4"
    job = dsenv("run", "-d", "--", "sh", "-c", script).stdout.decode().strip()
    assert [run["id"] for run in answer("ps")["runs"]] == [job]
    assert job.encode() in dsenv("ps").stdout
    assert [run["id"] for run in answer("status")["running"]] == [job]
    (_home() / "proj/go").touch()
    assert dsenv("logs", "-f", job[-4:]).stdout == b"1\n2\n"
    assert not (project / "outputs/late").exists()
    back = dsenv("attach", "last", code=4)
    assert back.stdout == b"1\n2\n"
    assert (project / "outputs/late").exists()
    assert answer("ps")["runs"] == []
    assert answer("ps", "--all")["runs"][0]["exit"] == 4
    assert b"exit 4" in dsenv("ps", "-a").stdout
    assert b"no run nonsense" in dsenv("logs", "nonsense", code=2).stderr


def test_cancel(project: Path) -> None:
    dsenv("run", "-d", "--", "sleep", "60")
    dsenv("run", "-d", "--", "sleep", "60")
    cancelled = answer("cancel", "last")
    assert (cancelled["was_running"], cancelled["status"]) == (True, "done")
    assert b"had ended before" in dsenv("cancel", "last").stdout
    assert len(answer("ps")["runs"]) == 1
    assert b"is not a signal" in dsenv("cancel", "last", "--signal", "NONSENSE", code=2).stderr
    stopped = answer("stop", "--dry-run")
    assert len(stopped["ended_runs"]) == 1
    assert len(answer("stop")["ended_runs"]) == 1
    dsenv("start")
    assert answer("ps")["runs"] == []


def test_a_run_survives_the_sudden_end_of_the_command_line(project: Path) -> None:
    script = "for i in $(seq 2000); do echo line $i; [ $((i % 200)) = 0 ] && sleep 0.1; done; exit 6"
    command = subprocess.Popen([*DSENV, "run", "--progress=none", "--", "sh", "-c", script], stdout=subprocess.PIPE)
    assert command.stdout
    first = os.read(command.stdout.fileno(), 1000)
    command.kill()
    command.wait()
    command.stdout.close()
    assert first.startswith(b"line 1\n")
    back = dsenv("attach", "--progress=none", code=6)
    assert back.stdout == b"".join(b"line %d\n" % i for i in range(1, 2001))


def _started(*words: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [*DSENV, "run", "--progress=none", "--", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
    )
    assert process.stdout
    assert process.stdout.readline() == b"ready\n"
    return process


def test_control_c_is_for_the_command(project: Path) -> None:
    script = "trap 'echo caught; exit 12' INT; echo ready; while :; do sleep 0.05; done"
    process = _started("sh", "-c", script)
    process.send_signal(signal.SIGINT)
    stdout, _ = process.communicate(timeout=30)
    assert process.returncode == 12
    assert stdout == b"caught\n"


def test_the_second_control_c_detaches(project: Path) -> None:
    process = _started("sh", "-c", "trap '' INT; echo ready; sleep 2; echo end")
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 0
    assert b"the run goes on" in stderr
    assert b"dsenv attach" in stderr
    assert dsenv("attach").stdout == b"ready\nend\n"


def test_a_reader_that_has_seen_enough(project: Path) -> None:
    script = "for i in $(seq 100000); do echo $i; done; sleep 0.2"
    command = " ".join(DSENV)
    done = subprocess.run(
        ["sh", "-c", f'{command} run --progress=none -- sh -c "$0" | head -2', script],
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == b"1\n2\n"
    assert b"Traceback" not in done.stderr


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, *words: str) -> None:
        self.output = b""
        self._pid, self._master = pty.fork()
        if self._pid == 0:
            os.execv(DSENV[0], [*DSENV, *words])

    def type(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def wait_for(self, text: bytes) -> None:
        deadline = time.monotonic() + 30
        while text not in self.output:
            assert time.monotonic() < deadline, self.output
            self._read(0.1)

    def end(self) -> int:
        while self._read(30):
            pass
        os.close(self._master)
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])

    def close(self) -> None:
        """As when its window is closed."""
        os.close(self._master)
        os.waitpid(self._pid, 0)

    def _read(self, seconds: float) -> bool:
        if not select.select([self._master], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self._master, 1 << 16)
        except OSError:
            return False
        self.output += data
        return bool(data)


def test_a_terminal_there_when_there_is_one_here(project: Path) -> None:
    terminal = Terminal("run", "--", "sh", "-c", "tty && stty size && read x && echo got-$x; exit 5")
    terminal.wait_for(b"/dev/pts/")
    terminal.type(b"word\r")
    assert terminal.end() == 5
    assert b"got-word" in terminal.output


def test_our_own_lines_around_a_terminal_begin_on_the_left(project: Path) -> None:
    terminal = Terminal("run", "--progress=plain", "--", "echo", "between")
    assert terminal.end() == 0
    assert terminal.output.count(b"\n") > 2
    assert terminal.output.count(b"\n") == terminal.output.count(b"\r\n")
    assert b"\r\nbetween\r\n" in terminal.output


def test_coming_back_to_a_terminal(project: Path) -> None:
    started = Terminal("run", "--", "sh", "-c", "stty -echo; echo ready; read x; echo got-$x; exit 4")
    started.wait_for(b"ready")
    started.close()
    assert not paths.log_file().exists()  # where bugs are written
    again = Terminal("attach", "last")
    again.wait_for(b"ready")
    again.type(b"word\r")
    assert again.end() == 4
    assert b"got-word\r\n" in again.output
    assert b"word\r\nword" not in again.output.replace(b"got-", b"")  # echoed by neither of the two terminals


@pytest.mark.slow
def test_a_project_that_was_moved(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, moved = _home(), project.with_name("moved to here")
    project.rename(moved)
    monkeypatch.chdir(moved)
    advice = f"dsenv down --project {project}\n".encode()
    assert answer("ls")["workstations"][0]["gone"] is True
    for words in (["ls"], ["status"], ["down"]):
        assert advice in dsenv(*words).stderr
    dsenv("down", "--project", str(moved), code=2)
    assert home.is_dir()
    dsenv("down", "--project", str(project))
    assert not home.exists()
    assert answer("ls")["workstations"] == []
    assert advice not in dsenv("down").stderr
    damaged = paths.workstations_dir() / "other/local.json"
    damaged.parent.mkdir()
    damaged.write_text("{")
    assert b"there is no workstation" in dsenv("down").stdout
    damaged.unlink()
    nowhere = project.with_name("nowhere")
    nowhere.mkdir()
    monkeypatch.chdir(nowhere)
    nowhere.rmdir()
    assert b"whole path" in dsenv("down", "--project", "proj", code=2).stderr
    moved.rename(project)
    monkeypatch.chdir(project)
    dsenv("up")
    toml = (project / "dsenv.toml").read_text()
    (project / "dsenv.toml").write_text(toml.replace('"proj"', '"renamed"'))
    assert answer("ls")["workstations"][0]["gone"] is True
    assert dsenv("down", "--project", ".").stdout.startswith(b"destroyed")
    (project / "dsenv.toml").write_text(toml)


def test_a_window_that_is_closed_while_output_comes(project: Path) -> None:
    terminal = Terminal("run", "--", "sh", "-c", "echo begun; while :; do echo more; sleep 0.001; done")
    terminal.wait_for(b"begun")
    terminal.close()
    assert not paths.log_file().exists()  # where bugs are written
    assert answer("ps")["runs"][0]["status"] == "running"
    dsenv("cancel", "last")


def test_the_last_run_is_never_a_shell(project: Path) -> None:
    dsenv("run", "--", "echo", "a run")
    dsenv("ssh", "--", "echo", "a secret of the shell")
    assert dsenv("logs", "last").stdout == b"a run\n"
    jobs = _home() / ".dsenv/jobs"
    assert not [path for path in jobs.rglob("log") if b"a secret of the shell" in path.read_bytes()]


def test_control_c_on_a_terminal(project: Path) -> None:
    terminal = Terminal(
        "run", "--", "sh", "-c", "trap 'echo caught; exit 12' INT; echo ready; while :; do sleep 0.05; done"
    )
    terminal.wait_for(b"ready")
    terminal.type(b"\x03")
    assert terminal.end() == 12
    assert b"caught" in terminal.output


def test_a_shell(project: Path) -> None:
    terminal = Terminal("ssh")
    terminal.wait_for(b"$ " if os.getuid() else b"# ")
    terminal.type(b"echo at-$(pwd); exit 3\r")
    assert terminal.end() == 3
    assert b"at-" + str(_home()).encode() in terminal.output


def test_a_command_without_sync(project: Path) -> None:
    (project / "new").write_text("x")
    done = dsenv(
        "ssh", "--progress=none", "--", "sh", "-c", "pwd; ls proj 2>/dev/null | wc -l; cat; exit 2", stdin=b"in", code=2
    )
    assert done.stdout.split() == [str(_home()).encode(), b"0", b"in"]


@pytest.mark.skipif(shutil.which("ssh") is None, reason="there is no ssh on this machine")
def test_the_ordinary_ssh_finds_it(project: Path, isolation: Path) -> None:
    config = isolation / ".ssh/config"
    done = subprocess.run(
        ["ssh", "-F", str(config), "dsenv-proj-default", "pwd"], capture_output=True, timeout=30, check=False
    )
    assert done.stdout.decode().strip() == str(_home()), done.stderr
    text = config.read_text()
    config.write_text(text + "Host mine\n  User me\n")
    dsenv("down")
    assert config.read_text() == "Host mine\n  User me\n"
    dsenv("up")
    assert config.read_text().endswith("Host mine\n  User me\n")


def test_tasks_in_order_with_parameters(project: Path) -> None:
    done = dsenv("run", "--progress=none", "train", "-p", "rows=7")
    assert done.stdout == b"made-features\nfeatures\nrows=7\n"
    plan = answer("run", "train", "--dry-run")
    assert [task["name"] for task in plan["tasks"]] == ["features", "train"]
    assert b"needs features" in dsenv("run", "train", "--dry-run").stdout
    result = answer("run", "train")
    assert [run["task"] for run in result["runs"]] == ["features", "train"]


def test_tasks_that_fail_or_go_in_circles(project: Path) -> None:
    done = dsenv("run", "after", code=9)
    assert b"task bad" in done.stderr
    assert not (_home() / "proj/never").exists()
    assert b"one -> two -> one" in dsenv("run", "one", code=125).stderr
    assert b"did you mean train" in dsenv("run", "trian", code=125).stderr
    assert b"say what to run" in dsenv("run", code=125).stderr
    assert b"--param is for tasks" in dsenv("run", "-p", "a=1", "--", "true", code=125).stderr
    assert b"cannot be detached" in dsenv("run", "-d", "train", code=125).stderr


def test_ports(project: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as service:
        threading.Thread(target=_greet, args=(service,), daemon=True).start()
        process = subprocess.Popen(
            [*DSENV, "forward", f"0:{service.getsockname()[1]}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert process.stdout
        url = process.stdout.readline().decode().split()[0]
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), 10) as client:
            assert client.recv(5) == b"hello"
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
        assert process.returncode == 0
    assert b"is not a port" in dsenv("forward", "http", code=2).stderr


@pytest.mark.slow
def test_ports_outlive_a_cut(project: Path) -> None:
    """The server is killed and comes back; the port here is the same, and leads there again."""
    with socket.create_server(("127.0.0.1", 0)) as service:
        threading.Thread(target=_greet, args=(service,), daemon=True).start()
        words = [*DSENV, "forward", "--progress", "json", f"0:{service.getsockname()[1]}"]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdout
        assert process.stderr
        port = int(process.stdout.readline().decode().split()[0].rpartition(":")[2])
        saved = Saved.read(Layout(_home().parent))
        assert saved
        assert saved.process
        for part in (*server.descendants(saved.process.pid), saved.process):
            part.signal(signal.SIGKILL)
        dsenv("up")
        said = [json.loads(process.stderr.readline())["message"] for _ in range(2)]
        assert said[0].endswith("; connecting again")
        assert said[1] == "connected again"
        with socket.create_connection(("127.0.0.1", port), 10) as client:
            assert client.recv(5) == b"hello"
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
        assert process.returncode == 0


def _greet(service: socket.socket) -> None:
    with service.accept()[0] as connection:
        connection.sendall(b"hello")


def test_sync_and_pull_by_hand(project: Path) -> None:
    assert answer("sync")["sent"] == 2
    assert b"nothing changed" in dsenv("sync").stdout
    (_home() / "proj/models").mkdir()
    (_home() / "proj/models/m.bin").write_bytes(b"m")
    assert dsenv("pull").stdout == b"nothing new\n"
    assert dsenv("pull", "models/").stdout == b"models/m.bin\n"
    assert answer("pull", "models/")["files"] == []
    assert b"no run nothing" in dsenv("pull", "--run", "nothing", code=2).stderr


@pytest.mark.slow
def test_two_runs_at_once_do_not_disturb_each_other(project: Path) -> None:
    slow = _started("sh", "-c", "echo ready; sleep 4; cat code.txt")
    (project / "code.txt").write_text("changed\n")
    second = dsenv("run", "--", "sh", "-c", "cat code.txt; mkdir -p outputs; echo 2 > outputs/second")
    assert second.stdout == b"changed\n"
    assert b"in a copy" in second.stderr or b"to a copy" in second.stderr
    assert (project / "outputs/second").read_text() == "2\n"
    assert slow.communicate(timeout=30)[0] == b"code\n"
    assert b"is using the files" in _sync_while_running(project)


def _sync_while_running(project: Path) -> bytes:
    slow = _started("sh", "-c", "echo ready; sleep 4")
    (project / "code.txt").write_text("changed again\n")
    refused = dsenv("sync", code=6).stderr
    dsenv("sync", "--force")
    slow.communicate(timeout=30)
    return refused


def test_the_life_of_a_workstation(project: Path) -> None:
    dsenv("run", "--", "touch", "made-there")
    assert answer("stop")["state"] == "stopped"
    stopped = dsenv("run", "--", "true", code=125)
    assert b"is stopped" in stopped.stderr
    assert b"dsenv up" in stopped.stderr
    assert b"is stopped" in dsenv("ps", code=4).stderr
    assert answer("status")["workstation"]["state"] == "stopped"
    assert answer("start")["state"] == "running"
    assert answer("up")["was"] == "running"
    dsenv("run", "--", "test", "-e", "made-there")
    plan = answer("down", "--dry-run")
    assert plan["existed"]
    assert plan["files"] >= 3
    assert answer("status")["workstation"]["state"] == "running"
    assert b"destroyed the workstation default (local, " in dsenv("down").stdout
    assert b"there is no workstation" in dsenv("down").stdout
    assert answer("status")["workstation"] is None
    assert b"not made yet" in dsenv("status").stdout
    for verb in ("stop", "start", "sync"):
        assert b"dsenv up" in dsenv(verb, code=4).stderr
    assert answer("ls")["workstations"] == []
    assert dsenv("ls").stdout == b""
    assert answer("up", "--dry-run")["was"] == "missing"
    assert b"would be created" in dsenv("up", "--dry-run").stdout


def test_after_a_reboot_everything_is_there_again(project: Path) -> None:
    """Everything that ran is gone, the run-time folder is empty, and the system says it is another boot."""
    job = dsenv("run", "-d", "--", "sleep", "60").stdout.decode().strip()
    layout = Layout(_home().parent)
    saved = Saved.read(layout)
    assert saved
    assert saved.process
    from dsenv.agent.jobs import Job

    supervisor = Job(str(_home() / ".dsenv"), job).supervisor()
    assert supervisor
    for process in (supervisor, *server.descendants(supervisor.pid), saved.process):
        process.signal(signal.SIGKILL)
    shutil.rmtree(paths.runtime_dir(), ignore_errors=True)
    state = json.loads(layout.state_file.read_text())
    state["process"]["boot"] = "the boot before"
    layout.state_file.write_text(json.dumps(state))
    assert answer("ls")["workstations"][0]["state"] == "crashed"
    assert b"is crashed" in dsenv("run", "--", "true", code=125).stderr
    assert answer("up")["was"] == "crashed"
    assert answer("ps", "--all")["runs"][0]["status"] == "lost"
    assert dsenv("attach", job, code=255).stdout == b""
    dsenv("run", "--", "cat", "code.txt")


def test_a_strange_host_key_stops_everything(project: Path) -> None:
    layout = Layout(_home().parent)
    state = json.loads(layout.state_file.read_text())
    state["host_key"] = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGk4x7Hxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
    layout.state_file.write_text(json.dumps(state))
    refused = dsenv("ps", code=5)
    assert b"another machine" in refused.stderr
    assert b"another machine" in dsenv("run", "--", "true", code=125).stderr


def test_names_that_are_no_workstation(project: Path) -> None:
    assert b"no workstation called big" in dsenv("up", "big", code=2).stderr


def test_events_for_programs(project: Path) -> None:
    done = dsenv("run", "--progress", "json", "--", "true")
    kinds = [json.loads(line)["event"] for line in done.stderr.splitlines()]
    assert kinds[0] == "step-started"
    assert "step-finished" in kinds


@contextlib.contextmanager
def _elsewhere() -> Iterator[None]:
    before = Path.cwd()
    os.chdir("/")
    try:
        yield
    finally:
        os.chdir(before)


def test_outside_of_a_project(project: Path) -> None:
    with _elsewhere():
        assert b"no dsenv.toml" in dsenv("up", code=2).stderr
        assert b"no dsenv.toml" in dsenv("run", "--", "true", code=125).stderr
        assert len(answer("ls")["workstations"]) == 1
