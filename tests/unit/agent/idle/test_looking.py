"""What counts as work, on process tables that are written here."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from dsenv.agent.idle import limits, load, people, watch, work
from dsenv.agent.idle.limits import Limits
from dsenv.agent.idle.people import Reason
from dsenv.agent.idle.table import Table

_AGENT = "python3 -I -S /home/u/.cache/dsenv/agent/0123.pyz serve"


class Processes:
    """A /proc of our own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.add(1, 0, "/sbin/init")

    def add(self, pid: int, parent: int, command: str, name: str = "", **environ: str) -> None:
        folder = self.folder / str(pid)
        folder.mkdir()
        words = [command] if command.startswith(("sshd", "tmux: ")) else command.split()
        name = name or Path(words[0]).name
        rest = " ".join(["0"] * 17)
        (folder / "stat").write_text(f"{pid} ({name}) S {parent} {rest} 500 0 0")
        (folder / "cmdline").write_bytes(b"\0".join(word.encode() for word in words) + b"\0")
        (folder / "environ").write_bytes(b"".join(f"{key}={value}\0".encode() for key, value in environ.items()))

    def table(self) -> Table:
        return Table(str(self.folder))


@pytest.fixture
def processes(tmp_path: Path) -> Processes:
    found = Processes(tmp_path)
    found.add(10, 1, "sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups")
    return found


def _session(processes: Processes, title: str = "sshd: u@notty") -> None:
    processes.add(20, 10, "sshd: u [priv]")
    processes.add(21, 20, title)


def test_nobody_and_nothing(processes: Processes) -> None:
    table = processes.table()
    assert people.sessions(table) == people.terminals(table) == work.jobs(table) == work.kernels(table) == []


@pytest.mark.parametrize(
    ("title", "said"),
    [
        ("sshd: u@pts/3", "an SSH session of u on pts/3"),
        ("sshd: u@notty", "an SSH session of u"),
        ("sshd-session: u@notty", "an SSH session of u"),
        ("sshd: u", "an SSH session of u"),
    ],
)
def test_sessions(processes: Processes, title: str, said: str) -> None:
    _session(processes, title)
    processes.add(22, 21, "bash -c node")
    assert people.sessions(processes.table()) == [Reason("ssh", said)]


@pytest.mark.parametrize("title", ["sshd: [accepted]", "sshd: [net]", "sshd: u [net]", "sshd-session: [accepted]"])
def test_who_has_not_logged_in_is_nobody(processes: Processes, title: str) -> None:
    _session(processes, title)
    assert people.sessions(processes.table()) == []


def test_a_session_that_only_forwards_counts(processes: Processes) -> None:
    _session(processes)
    assert len(people.sessions(processes.table())) == 1


def test_our_own_connection_is_no_work(processes: Processes) -> None:
    _session(processes)
    processes.add(22, 21, f"sh -c {_AGENT}")
    processes.add(23, 22, _AGENT)
    assert people.sessions(processes.table()) == []
    assert work.jobs(processes.table()) == []


def test_a_run_counts_when_its_client_has_gone(processes: Processes) -> None:
    processes.add(30, 1, _AGENT)
    processes.add(31, 30, "python3 -I -S x.pyz capture --run-id 20261130T100000-ab -- python train.py --token s3cr3t")
    processes.add(32, 31, "python train.py --token s3cr3t")
    assert work.jobs(processes.table()) == [Reason("run", "run 20261130T100000-ab")]


def test_a_run_that_is_a_notebook_server_counts_by_its_kernels(processes: Processes) -> None:
    processes.add(30, 1, _AGENT)
    processes.add(31, 30, "/opt/env/bin/python /opt/env/bin/jupyter-lab --no-browser")
    processes.add(32, 31, "python -m ipykernel_launcher -f kernel.json")
    assert work.jobs(processes.table()) == []


def test_terminals_that_were_left(processes: Processes) -> None:
    processes.add(40, 1, "tmux: server", name="tmux: server")
    processes.add(41, 40, "-bash", name="bash")
    assert people.terminals(processes.table()) == []
    processes.add(42, 41, "python train.py")
    assert people.terminals(processes.table()) == [Reason("terminal", "python in tmux")]


def test_a_script_in_a_terminal_is_work(processes: Processes) -> None:
    processes.add(40, 1, "SCREEN -S x")
    processes.add(41, 40, "bash ./all.sh")
    assert people.terminals(processes.table()) == [Reason("terminal", "bash in screen")]


class _Server(BaseHTTPRequestHandler):
    states: tuple[str, ...] = ()

    def do_GET(self) -> None:
        asked = (self.path, self.headers["Authorization"])
        good = asked == ("/lab/api/kernels", "token t0ken")
        body = json.dumps([{"name": "python3", "execution_state": state} for state in self.states]).encode()
        self.send_response(200 if good else 403)
        self.end_headers()
        self.wfile.write(body if good else b"{}")

    def log_message(self, *args: object) -> None:
        """Silence."""


@pytest.fixture
def notebook(processes: Processes, tmp_path: Path) -> Iterator[type[_Server]]:
    server = HTTPServer(("127.0.0.1", 0), _Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    runtime = tmp_path / "home/.local/share/jupyter/runtime"
    runtime.mkdir(parents=True)
    facts = {"port": server.server_port, "token": "t0ken", "base_url": "/lab/", "url": "http://example.invalid/"}
    (runtime / "jpserver-50.json").write_text(json.dumps(facts))
    processes.add(50, 1, "/opt/env/bin/python /opt/env/bin/jupyter-lab", HOME=str(tmp_path / "home"))
    yield _Server
    server.shutdown()
    server.server_close()


def test_kernels_count_while_they_are_busy(processes: Processes, notebook: type[_Server]) -> None:
    notebook.states = ("idle", "idle")
    assert work.kernels(processes.table()) == []
    notebook.states = ("idle", "busy")
    assert work.kernels(processes.table()) == [Reason("kernel", "kernel python3 is busy")]


def test_a_notebook_server_that_does_not_answer_is_no_work(processes: Processes) -> None:
    processes.add(50, 1, "python -m jupyter lab", HOME=str(processes.folder))
    assert work.kernels(processes.table()) == []


def test_floors() -> None:
    before = {"at": 0.0, "cpu": 10.0, "disk": 0.0, "network": 0.0}
    still = {"at": 60.0, "cpu": 12.0, "disk": 3e7, "network": 1e6}
    assert load.reasons(before, still, Limits()) == []
    works = {"at": 60.0, "cpu": 40.0, "disk": 3e8, "network": 6e8}
    assert [reason.kind for reason in load.reasons(before, works, Limits())] == ["cpu", "disk", "network"]
    assert load.reasons({}, works, Limits()) == []


def test_counters_of_this_machine_grow() -> None:
    first = load.sample(1.0, container=True)
    total = sum(number * number for number in range(300_000))
    second = load.sample(2.0, container=True)
    assert total > 0
    assert second["cpu"] > first["cpu"]
    assert second["network"] >= first["network"]


def test_one_look_at_this_machine(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert watch.main([str(tmp_path / "absent.json")]) == 1
    assert "absent.json" in capfd.readouterr().err
    wanted = Limits(1800, 86400, ["true"])
    (tmp_path / "limits.json").write_bytes(limits.as_json(wanted))
    assert limits.read(str(tmp_path / "limits.json")) == wanted
    seen = watch.look(None, wanted)
    assert seen.now > 0
    assert not [reason for reason in seen.reasons if reason.kind in {"cpu", "disk", "network"}]  # rates need two looks
