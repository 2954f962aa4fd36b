"""Jobs through a real agent process: exactly once, output to the byte, input, signals, terminals, ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from dsenv import events
from dsenv.agent import jobs, protocol
from dsenv.agent.process import Process
from dsenv.errors import TransportError, WorkstationNotReadyError
from dsenv.sync.client import AgentClient, RefusedError, as_error
from dsenv.sync.follow import Control, Follow, Outcome
from dsenv.testing.workstation import Workstation
from dsenv.transports.base import Stream


class Recorder:
    """A console that remembers."""

    def __init__(self, stdin: bytes | None = None) -> None:
        self.output: dict[Stream, bytes] = {"stdout": b"", "stderr": b""}
        self.control: Control | None = None
        self._stdin = stdin

    def write(self, stream: Stream, data: bytes) -> None:
        self.output[stream] += data

    def attach(self, control: Control) -> None:
        self.control = control
        if self._stdin is not None:
            threading.Thread(target=self._type, args=(control, self._stdin), daemon=True).start()

    def _type(self, control: Control, data: bytes) -> None:
        control.stdin(data)
        control.stdin_end()

    def wait_for(self, text: bytes) -> None:
        deadline = time.monotonic() + 20
        while text not in self.output["stdout"]:
            assert time.monotonic() < deadline, self.output
            time.sleep(0.01)


@pytest.fixture
def station(tmp_path: Path) -> Workstation:
    (tmp_path / "here").mkdir()
    station = Workstation(tmp_path / "home", tmp_path / "here")
    station.tree.mkdir()
    return station


def start(station: Workstation, client: AgentClient, job: str, *argv: str, **fields: Any) -> dict[str, Any]:
    client.request("run", job=job, root=str(station.tree), argv=list(argv), **fields)
    return client.answer()


def run(station: Workstation, *argv: str, console: Recorder | None = None, **fields: Any) -> tuple[Outcome, Recorder]:
    console = console or Recorder()
    client = station.agent()
    start(station, client, "job", *argv, **fields)
    outcome = Follow("job", station.agent, console, events.ignore, events.Cancel()).run(client)
    return outcome, console


def attach(station: Workstation, job: str = "job", *, follow: bool = True) -> tuple[Outcome, Recorder]:
    console, client = Recorder(), station.agent()
    client.request("attach", job=job, offset=0, follow=follow)
    return Follow(job, station.agent, console, events.ignore, events.Cancel()).run(client), console


def test_streams_and_exit_code(station: Workstation) -> None:
    outcome, console = run(station, "sh", "-c", r"printf 'a\0\377'; printf e >&2; pwd >&2; exit 9")
    assert (outcome.status, outcome.code) == ("done", 9)
    assert console.output == {"stdout": b"a\0\xff", "stderr": f"e{station.tree}\n".encode()}
    assert attach(station)[1].output == console.output


def test_a_signal_is_told_apart(station: Workstation) -> None:
    outcome, _ = run(station, "sh", "-c", "kill -KILL $$")
    assert (outcome.exit, outcome.signal, outcome.code) == (None, 9, 137)


@pytest.mark.parametrize(("word", "code"), [("no-such-command", 127), ("./plain", 126)])
def test_what_cannot_start(station: Workstation, word: str, code: int) -> None:
    (station.tree / "plain").write_text("x")
    outcome, console = run(station, word)
    assert outcome.code == code
    assert word.encode() in console.output["stderr"]


def test_input_arrives_whole_and_ends(station: Workstation) -> None:
    data = os.urandom(3 << 20)
    outcome, console = run(station, "cat", console=Recorder(data), stdin=True)
    assert outcome.code == 0
    assert console.output["stdout"] == data


def test_a_window_that_changes_without_a_connection_is_told_later() -> None:
    control = Control()
    control.resize(66, 22)
    done: list[str] = []
    control.when_over(lambda: done.append("over"))
    sent: list[bytes] = []

    class Client(AgentClient):
        def __init__(self) -> None:
            pass

        def send(self, frames: Iterable[bytes]) -> None:
            sent.extend(frames)

    control.connected(Client())
    control.resend()
    assert sent == [protocol.encode_json(protocol.WINDOW, {"columns": 66, "rows": 22})]
    control.finished()
    control.finished()
    assert done == ["over"]


def test_input_that_nobody_reads_stops_nothing(station: Workstation) -> None:
    outcome, _ = run(station, "sh", "-c", "exec <&-; sleep 0.3", console=Recorder(b"x" * (2 << 20)), stdin=True)
    assert outcome.code == 0


def test_without_input_there_is_none(station: Workstation) -> None:
    assert run(station, "cat")[1].output["stdout"] == b""


def test_a_terminal(station: Workstation) -> None:
    console = Recorder()
    client = station.agent()
    script = "stty size; echo $TERM; trap 'stty size; exit 3' INT; echo ready; while :; do sleep 0.02; done"
    start(station, client, "job", "sh", "-c", script, tty=True, rows=11, columns=55, term="vt220", stdin=True)
    follow = Follow("job", station.agent, console, events.ignore, events.Cancel())
    outcomes: list[Outcome] = []
    thread = threading.Thread(target=lambda: outcomes.append(follow.run(client)))
    thread.start()
    console.wait_for(b"ready")
    assert console.control
    console.control.resize(66, 22)
    console.control.stdin(b"\x03")
    thread.join(20)
    words = console.output["stdout"].split()
    assert words[:3] == [b"11", b"55", b"vt220"]
    assert console.output["stdout"].endswith(b"22 66\r\n")
    assert outcomes[0].code == 3
    assert console.output["stderr"] == b""


def test_the_end_of_input_on_a_terminal(station: Workstation) -> None:
    outcome, console = run(station, "cat", console=Recorder(b"typed\n"), tty=True, stdin=True)
    assert outcome.code == 0
    assert b"typed\r\n" in console.output["stdout"]


def test_a_signal_reaches_the_process_group(station: Workstation) -> None:
    console, client = Recorder(), station.agent()
    start(station, client, "job", "sh", "-c", "sh -c 'echo ready; exec sleep 60'; echo after $?")
    outcomes: list[Outcome] = []
    follow = Follow("job", station.agent, console, events.ignore, events.Cancel())
    thread = threading.Thread(target=lambda: outcomes.append(follow.run(client)))
    thread.start()
    console.wait_for(b"ready")
    assert console.control
    console.control.signal("INT")
    thread.join(20)
    assert outcomes[0].code == 130


def test_the_same_request_twice_runs_once(station: Workstation) -> None:
    def one(results: list[bool]) -> None:
        with station.agent() as client:
            results.append(
                start(station, client, "job", "sh", "-c", "echo x >> count; sleep 0.2", detach=True)["created"]
            )

    results: list[bool] = []
    threads = [threading.Thread(target=one, args=(results,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(results) == [False, False, False, True]
    assert attach(station)[0].code == 0
    assert (station.tree / "count").read_text() == "x\n"


def test_a_job_outlives_its_connection_and_nothing_is_lost_or_repeated(station: Workstation) -> None:
    script = "for i in $(seq 3000); do echo line $i; [ $((i % 300)) = 0 ] && sleep 0.1; done; echo done >&2; exit 5"
    cuts = 0
    clients: list[AgentClient] = []

    def reconnect() -> AgentClient:
        clients.append(station.agent())
        return clients[-1]

    class Cutting(Recorder):
        def write(self, stream: Stream, data: bytes) -> None:
            nonlocal cuts
            super().write(stream, data)
            if len(self.output["stdout"]) > (cuts + 1) * 6000 and cuts < 3:
                cuts += 1
                clients[-1].close()

    notices: list[events.Event] = []
    console, client = Cutting(), reconnect()
    start(station, client, "job", "sh", "-c", script)
    outcome = Follow("job", reconnect, console, notices.append, events.Cancel()).run(client)
    assert cuts == 3
    assert len(notices) == 3
    assert outcome.code == 5
    assert console.output["stdout"] == b"".join(b"line %d\n" % i for i in range(1, 3001))
    assert console.output["stderr"] == b"done\n"


def test_input_survives_a_cut(station: Workstation) -> None:
    data = os.urandom(1 << 20)
    clients: list[AgentClient] = []

    def reconnect() -> AgentClient:
        clients.append(station.agent())
        return clients[-1]

    class Cutting(Recorder):
        def write(self, stream: Stream, data: bytes) -> None:
            super().write(stream, data)
            if len(self.output["stdout"]) > 300_000 and len(clients) == 1:
                clients[-1].close()

    console, client = Cutting(data), reconnect()
    start(station, client, "job", "cat", stdin=True)
    outcome = Follow("job", reconnect, console, events.ignore, events.Cancel()).run(client)
    assert outcome.code == 0
    assert console.output["stdout"] == data
    assert len(clients) >= 2


def test_detaching_leaves_it_running(station: Workstation) -> None:
    console, client = Recorder(), station.agent()
    start(station, client, "job", "sh", "-c", "echo ready; sleep 0.5; echo end; exit 2")
    outcomes: list[Outcome] = []
    follow = Follow("job", station.agent, console, events.ignore, events.Cancel())
    thread = threading.Thread(target=lambda: outcomes.append(follow.run(client)))
    thread.start()
    console.wait_for(b"ready")
    assert console.control
    console.control.detach()
    thread.join(10)
    assert outcomes[0].status == "running"
    assert console.control.over
    assert not console.control.stdin(b"too late")
    assert attach(station, follow=False)[0].status == "running"
    outcome, again = attach(station)
    assert outcome.code == 2
    assert again.output["stdout"] == b"ready\nend\n"


def test_cancel_asks_first_and_then_makes_it(station: Workstation) -> None:
    with station.agent() as client:
        start(station, client, "polite", "sh", "-c", "trap 'exit 6' TERM; while :; do sleep 0.05; done", detach=True)
        start(station, client, "deaf", "sh", "-c", "trap '' TERM; while :; do sleep 0.05; done", detach=True)
        time.sleep(0.3)
        client.request("cancel", job="polite")
        assert client.answer()["exit"] == 6
        client.request("cancel", job="deaf", grace=0.2)
        assert client.answer()["signal"] == 9
        client.request("cancel", job="deaf")
        assert client.answer()["status"] == "done"
        client.request("cancel", job="nothing")
        with pytest.raises(RefusedError) as caught:
            client.answer()
    assert "dsenv ps" in (as_error(caught.value, station.machine).hint or "")


def test_a_job_whose_supervisor_died_is_lost(station: Workstation) -> None:
    with station.agent() as client:
        start(station, client, "job", "sleep", "60", detach=True)
        job = jobs.Job(str(station.home / ".dsenv"), "job")
        supervisor = job.supervisor()
        assert supervisor
        assert job.status() == jobs.RUNNING
        child = int(next(iter(Path(f"/proc/{supervisor.pid}/task/{supervisor.pid}/children").read_text().split())))
        supervisor.signal(signal.SIGKILL)
        os.kill(child, signal.SIGKILL)
        while supervisor.alive():
            time.sleep(0.01)
        client.request("jobs", job="job")
        assert client.answer()["jobs"][0]["status"] == jobs.LOST
    outcome, _ = attach(station)
    assert (outcome.status, outcome.code) == ("lost", 255)


def test_a_supervisor_that_is_killed_while_we_follow(station: Workstation) -> None:
    console, notices = Recorder(), list[events.Event]()
    client = station.agent()
    start(station, client, "job", "sh", "-c", "echo $$; exec sleep 60")
    follow = Follow("job", station.agent, console, notices.append, events.Cancel())
    outcomes: list[Outcome] = []
    thread = threading.Thread(target=lambda: outcomes.append(follow.run(client)))
    thread.start()
    console.wait_for(b"\n")
    supervisor = jobs.Job(str(station.home / ".dsenv"), "job").supervisor()
    assert supervisor
    supervisor.signal(signal.SIGKILL)
    thread.join(20)
    assert (outcomes[0].status, outcomes[0].code) == ("lost", 255)
    assert "the run is lost" in str(notices)
    command = Process.of(int(console.output["stdout"]))
    assert command.alive()
    with station.agent() as other:
        other.request("cancel", job="job")
        assert other.answer()["status"] == jobs.LOST
    deadline = time.monotonic() + 10
    while command.alive() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not command.alive()


def test_a_workstation_that_is_switched_off_while_we_follow(station: Workstation) -> None:
    def reconnect() -> AgentClient:
        raise WorkstationNotReadyError("the workstation default is crashed", hint="dsenv up")

    with pytest.raises(WorkstationNotReadyError, match="may go on") as caught:
        Follow("job", reconnect, Recorder(), events.ignore, events.Cancel()).run()
    assert caught.value.hint == "dsenv up, then: dsenv attach job"


def test_a_process_that_stays_behind_does_not_hold_up_the_end(station: Workstation) -> None:
    outcome, console = run(station, "sh", "-c", "sleep 600 & echo $!; exit 4")
    assert outcome.code == 4
    os.kill(int(console.output["stdout"]), signal.SIGKILL)  # raises when it has ended


def test_a_session_ends_with_its_connection(station: Workstation) -> None:
    client = station.agent()
    start(station, client, "job", "sh", "-c", "echo $$ > pid; exec sleep 60", session=0.3, stdin=True)
    while not (station.tree / "pid").exists() or not (station.tree / "pid").read_text().strip():
        time.sleep(0.01)
    client.close()
    deadline = time.monotonic() + 10
    job = jobs.Job(str(station.home / ".dsenv"), "job")
    while job.status() == jobs.RUNNING and time.monotonic() < deadline:
        time.sleep(0.02)
    assert (job.ended() or {}).get("signal") == signal.SIGHUP


def test_secrets_are_not_written_down(station: Workstation) -> None:
    run(station, "sh", "-c", "true", env={"PASSWORD": "hunter2-very-secret"})
    for file in (station.home / ".dsenv").rglob("*"):
        if file.is_file():
            assert b"hunter2" not in file.read_bytes()


def test_the_environment_of_a_job(station: Workstation) -> None:
    _, console = run(station, "env", env={"A": "b c"}, prefix="/opt/some-env")
    values = dict(line.split("=", 1) for line in console.output["stdout"].decode().splitlines() if "=" in line)
    assert values["A"] == "b c"
    assert values["VIRTUAL_ENV"] == "/opt/some-env"
    assert values["PATH"].startswith("/opt/some-env/bin:")
    assert not [name for name in values if name.startswith("SSH_")]


def test_a_second_run_gets_a_copy_of_a_tree_in_use(station: Workstation) -> None:
    from dsenv.agent import records, tree

    def sync(
        client: AgentClient, base: dict[str, tree.Entry], data: bytes, job: str
    ) -> tuple[dict[str, Any], dict[str, tree.Entry]]:
        entries = {"f": tree.Entry("f", 0o644, tree.hash_bytes(data))}
        client.request("sync", tree="proj", base=tree.generation(base), job=job)
        client.send(records.compress([records.pack(records.Header("f", "f", 0o644, 0, len(data))) + data]))
        client.send([protocol.encode_json(protocol.END, {"generation": tree.generation(entries)})])
        return client.answer(), entries

    with station.agent() as client:
        first, entries = sync(client, {}, b"one", "first")
        client.request("run", job="first", argv=["sh", "-c", "sleep 1; cat f"])
        assert client.answer()["root"] == first["root"] == str(station.tree)
        (station.tree / "made-there").write_text("x")
        with station.agent() as other:
            second, _ = sync(other, entries, b"two", "second")
            assert second["snapshot"]
            assert second["generation"] == tree.generation(entries)
            other.request("run", job="second", argv=["cat", "f", "made-there"])
            other.answer()
            assert _output(other) == b"twox"
            with station.agent() as third:
                with pytest.raises(RefusedError) as caught:
                    sync(third, entries, b"three", "")
                assert caught.value.code == "busy"
            other.request("release", job="second")
            other.answer()
        assert not Path(second["root"]).exists()
        assert _output(client) == b"one"


def _output(client: AgentClient) -> bytes:
    reader, output = protocol.LogReader(), b""
    while True:
        kind, payload = client.receive()
        if kind == protocol.LOG:
            output += b"".join(data for stream, data in reader.feed(payload) if stream == protocol.STDOUT)
        elif kind == protocol.REPLY:
            return output


def test_ids_that_are_no_names(station: Workstation) -> None:
    with station.agent() as client:
        for name in ("../x", "", "a/b", ".hidden"):
            client.request("attach", job=name)
            with pytest.raises(RefusedError):
                client.answer()


def test_only_the_last_jobs_are_kept(station: Workstation, monkeypatch: pytest.MonkeyPatch) -> None:
    state = str(station.home / ".dsenv")
    for number in range(205):
        job = jobs.Job(state, f"j{number:03}")
        assert job.create({"argv": ["x"]})
        Path(job.folder, "exit.json").write_text(json.dumps({"exit": 0}))
    jobs.prune(state)
    assert next(job.name for job in jobs.listing(state)) == "j005"
    assert not jobs.Job(state, "j005").create({})


def test_sessions_are_forgotten_and_count_for_nothing(tmp_path: Path) -> None:
    state = str(tmp_path)
    for name in ("ssh-2", "1", "3", "ssh-4"):
        job = jobs.Job(state, name)
        assert job.create({"argv": ["x"]})
        Path(job.folder, "exit.json").write_text(json.dumps({"exit": 0}))
    assert [job.name for job in jobs.listing(state)] == ["1", "ssh-2", "3", "ssh-4"]
    os.utime(jobs.Job(state, "ssh-2").folder, (0, 0))
    jobs.prune(state)
    assert [job.name for job in jobs.listing(state)] == ["1", "3", "ssh-4"]


def test_a_damaged_session_does_not_stop_the_next_run(tmp_path: Path) -> None:
    folder = Path(jobs.Job(str(tmp_path), "ssh-1").folder)
    folder.mkdir(parents=True)
    os.utime(folder, (0, 0))
    jobs.prune(str(tmp_path))
    assert not folder.exists()


def test_damaged_job_folders(tmp_path: Path) -> None:
    job = jobs.Job(str(tmp_path), "j")
    with pytest.raises(jobs.JobError):
        job.status()
    job.create({})
    Path(job.folder, "job.json").write_text("[]")
    with pytest.raises(jobs.JobError, match="damaged"):
        job.facts()
    Path(job.folder, "supervisor.json").write_text("{}")
    assert job.supervisor() is None
    assert job.status() == jobs.LOST


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a file system that is full")
def test_a_full_disk_costs_output_and_not_the_job(station: Workstation) -> None:
    state = station.home / ".dsenv"
    state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "none", str(state)], check=True)
    try:
        script = "head -c 2000000 /dev/zero; touch alive; exit 3"
        outcome, console = run(station, "sh", "-c", script)
        assert outcome.code == 3
        assert (station.tree / "alive").exists()
        assert b"bytes of output are lost" in console.output["stderr"]
        assert attach(station)[1].output == console.output
    finally:
        subprocess.run(["umount", "-l", str(state)], check=True)


def test_the_agent_that_is_not_there_is_sent_once(station: Workstation) -> None:
    from dsenv.transports.local import LocalTransport

    with LocalTransport(station.home) as transport:
        for _ in range(2):
            with AgentClient(transport, station.machine) as client:
                client.request("jobs")
                assert client.answer() == {"jobs": []}
    assert len(list((station.home / ".cache/dsenv/agent").iterdir())) == 1


def test_a_workstation_without_a_python(station: Workstation) -> None:
    import dataclasses

    from dsenv.transports.local import LocalTransport

    machine = dataclasses.replace(station.machine, python="/no/such/python")
    with LocalTransport(station.home) as transport, pytest.raises(TransportError, match="127"):
        AgentClient(transport, machine)
