"""The idle matrix, on real hosts with a shortened clock: what keeps a workstation up does, and nothing else.

The hosts have systemd and its timers; whether one is off is asked of the cloud.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dsenv.models.machine import Limits
from dsenv.providers import watch
from dsenv.transports.agent import archive_path
from tests.lab.client import Lab, until
from tests.lab.connecting import Account, output

if TYPE_CHECKING:
    import paramiko

pytestmark = pytest.mark.slow

IDLE = 12  # seconds without work after which a host goes off; it looks every third of a quarter of that
_LATE = 25.0  # how much later it may be seen, on a machine with much else to do
_AGENT = ".cache/dsenv/agent/agent.pyz"


class Host:
    """A host that watches itself. It cannot have been off before `IDLE` seconds after its last work."""

    def __init__(self, account: Account, limits: Limits) -> None:
        self.account, self.lab = account, account.lab
        self.id = account.running(InstanceInitiatedShutdownBehavior="stop")
        for file in watch.files(limits):
            self.lab.run(self.id, "mkdir", "-p", str(Path(file.path).parent))
            self.write(file.path, file.data)
            self.lab.run(self.id, "chmod", f"{file.mode:o}", file.path)
        for command in watch.START:
            self.lab.run(self.id, *command)
        self.began = time.monotonic()

    def write(self, path: str, data: bytes) -> None:
        self.lab.put(self.id, path, data)

    def connect(self) -> paramiko.SSHClient:
        return self.account.connect(self.id)

    def is_off(self) -> bool:
        return str(self.account.describe(self.id)["State"]["Name"]) == "stopped"

    def state(self) -> dict[str, Any]:
        return dict(json.loads(self.lab.run(self.id, "cat", "/run/dsenv/watch.json")))

    def kept_up_by(self, kind: str) -> bool:
        return kind in [reason[0] for reason in self.state()["kept_up_by"]]

    def stays_up(self, kind: str) -> None:
        """Over more than twice the idle time, for that reason."""
        until(lambda: self.kept_up_by(kind), f"it is kept up by {kind}", IDLE)
        deadline = time.monotonic() + 2.2 * IDLE
        while time.monotonic() < deadline:
            assert not self.is_off()
            time.sleep(0.5)
        assert self.kept_up_by(kind), self.state()

    def goes_off(self, since: float, why: str = "it was idle for 12 seconds") -> None:
        """Not before its time after `since`, a moment at which there was still work, and not much later."""
        until(self.is_off, "it goes off", IDLE + _LATE, every=0.2)
        assert time.monotonic() - since >= IDLE - 4
        if why:
            said = self.account.lab.console(self.id)
            assert f"switching off, as {why}" in said or why in self._journal()

    def _journal(self) -> str:
        """What the disk says of it, once it is on again."""
        self.account.ec2.start_instances(InstanceIds=[self.id])
        self.account.until_state(self.id, "running")
        return self.lab.run(self.id, "cat", "/var/lib/dsenv/stopped.json")


Make = Callable[..., Host]


@pytest.fixture
def host(lab: Lab, request: pytest.FixtureRequest) -> Iterator[Make]:
    accounts: list[Account] = []

    def make(limits: Limits | None = None) -> Host:
        accounts.append(Account(lab, f"idle{len(accounts)}"))
        return Host(accounts[-1], limits or Limits(IDLE, 3600))

    yield make
    for account in accounts:
        account.close()


def test_nobody_is_there(host: Make) -> None:
    """And again after it was switched on: neither at once nor never."""
    made = host()
    made.goes_off(made.began)
    made.account.ec2.start_instances(InstanceIds=[made.id])
    made.account.until_state(made.id, "running")
    made.goes_off(time.monotonic())


def test_an_editor_without_a_terminal(host: Make) -> None:
    made = host()
    with made.connect() as client:
        channel = client.get_transport().open_session()  # type: ignore[union-attr]
        channel.exec_command("exec sleep 1000")
        made.stays_up("ssh")
    made.goes_off(time.monotonic())


def test_a_terminal_that_was_left(host: Make) -> None:
    """A command in tmux is work; the shell that is left of it is none."""
    made = host()
    with made.connect() as client:
        output(client, "tmux new-session -d -s work 'bash'; tmux send-keys -t work 'sleep 777' Enter")
    made.stays_up("terminal")
    made.lab.run(made.id, "pkill", "-x", "sleep")
    made.goes_off(time.monotonic())


def test_a_detached_job(host: Make) -> None:
    made = host()
    with made.connect() as client:
        _send_agent(client)
        answer = _ask(client, op="run", job="20261130T100000-000000-aaaa", root="/home/admin", argv=["sleep", "1000"])
        assert answer["created"]
    made.stays_up("run")
    with made.connect() as client:
        _ask(client, op="cancel", job="20261130T100000-000000-aaaa", grace=1)
    made.goes_off(time.monotonic())


def test_work_that_nobody_announced(host: Make) -> None:
    made = host()
    with made.connect() as client:
        output(client, "nohup sh -c 'while :; do :; done' >/dev/null 2>&1 </dev/null & echo started")
    made.stays_up("cpu")
    made.lab.run(made.id, "pkill", "-f", "while :")
    made.goes_off(time.monotonic())


def test_a_laptop_that_sleeps(host: Make) -> None:
    """Its connection stays open on both ends until sshd asks in vain whether somebody is there."""
    made = host()
    made.write("/etc/ssh/sshd_config.d/10-alive.conf", b"ClientAliveInterval 3\nClientAliveCountMax 2\n")
    made.lab.run(made.id, "systemctl", "restart", "ssh")
    with made.connect() as client:
        channel = client.get_transport().open_session()  # type: ignore[union-attr]
        channel.exec_command("exec sleep 1000")
        until(lambda: made.kept_up_by("ssh"), "it is kept up by the session", IDLE)
        made.lab.net(made.id, "cut")
        asleep = time.monotonic()
        until(made.is_off, "it goes off", 4 * IDLE, every=0.2)
        assert time.monotonic() - asleep >= IDLE - 4


@pytest.mark.timeout(900)  # Jupyter is a hundred packages
def test_notebooks(host: Make) -> None:
    """A real Jupyter server and a real kernel: open and idle is no work, computing is."""
    made = host(Limits(0, 3600))
    made.lab.run(made.id, "apt-get", "update", "-q", seconds=300)
    made.lab.run(made.id, "apt-get", "install", "-y", "-q", "--no-install-recommends", *_JUPYTER, seconds=300)
    made.write("/opt/kernel.py", _KERNEL.encode())
    with made.connect() as client:
        output(client, "nohup jupyter-server --no-browser >/tmp/jupyter.log 2>&1 </dev/null & echo started")
        until(lambda: output(client, "python3 /opt/kernel.py start"), "the server has a kernel", 60, every=1)
    for file in watch.files(Limits(IDLE, 3600)):
        made.write(file.path, file.data)
    for command in (("systemctl", "daemon-reload"), ("systemctl", "restart", "dsenv-watch.timer")):
        made.lab.run(made.id, *command)
    with made.connect() as client:
        output(client, "nohup python3 /opt/kernel.py busy 60 >/dev/null 2>&1 </dev/null & echo started")
    made.stays_up("kernel")
    until(lambda: not made.kept_up_by("kernel"), "the kernel has done its work", 60)
    made.goes_off(time.monotonic())


def test_without_python_sessions_are_still_seen(host: Make) -> None:
    made = host()
    made.write("/usr/local/bin/python3", b"#!/bin/sh\nexit 1\n")
    made.lab.run(made.id, "chmod", "755", "/usr/local/bin/python3")
    with made.connect() as client:
        channel = client.get_transport().open_session()  # type: ignore[union-attr]
        channel.exec_command("exec sleep 1000")
        deadline = time.monotonic() + 2.2 * IDLE
        while time.monotonic() < deadline:
            assert not made.is_off()
            time.sleep(0.5)
    made.goes_off(time.monotonic(), why="")


def test_looks_that_are_killed_change_nothing(host: Make) -> None:
    made = host()
    deadline = time.monotonic() + 6
    while time.monotonic() < deadline:
        made.lab.run(made.id, "sh", "-c", "pkill -KILL -f [/]usr/local/lib/dsenv/watch; true")
        time.sleep(0.2)
    made.goes_off(made.began)


def test_a_clock_that_jumps(host: Make) -> None:
    """A look in ten days' time sees what a look now sees: only the time since the start counts."""
    made = host(Limits(600, 3600))
    made.lab.run(made.id, "apt-get", "update", "-q", seconds=200)
    made.lab.run(made.id, "apt-get", "install", "-y", "-q", "--no-install-recommends", "faketime", seconds=200)
    made.lab.run(made.id, "systemctl", "stop", "dsenv-watch.timer")
    for jump in ("+10 days", "-10 days"):
        shown = made.lab.run(made.id, "faketime", jump, "date", "+%s")
        assert abs(int(shown) - time.time()) > 9 * 86400
        made.lab.run(made.id, "faketime", jump, "python3", "-I", "-S", watch.HOME)
        assert made.state()["checked"] - made.state()["busy"] < 300
    assert not made.is_off()


def test_its_life_ends_while_somebody_works(host: Make) -> None:
    made = host(Limits(0, 25))
    made.write("/usr/local/lib/dsenv/watch/tick", b"#!/bin/sh\nexit 1\n")  # the system's timer needs none of ours
    with made.connect() as client:
        channel = client.get_transport().open_session()  # type: ignore[union-attr]
        channel.exec_command("exec sleep 1000")
        until(made.is_off, "it goes off", 25 + _LATE, every=0.2)


_JUPYTER = ("jupyter-server", "python3-ipykernel")
_KERNEL = """
import json, pathlib, sys, time, urllib.request
runtime = pathlib.Path.home() / ".local/share/jupyter/runtime"
server = json.loads(next(iter(runtime.glob("jpserver-*.json"))).read_text())

def ask(path, data=None):
    request = urllib.request.Request(server["url"] + path, data=data)
    request.add_header("Authorization", "token " + server["token"])
    return json.loads(urllib.request.urlopen(request, timeout=10).read())

if sys.argv[1] == "start":
    print(ask("api/kernels", b'{"name": "python3"}')["id"])
else:
    from jupyter_client import BlockingKernelClient
    kernel = ask("api/kernels")[0]["id"]
    client = BlockingKernelClient(connection_file=str(runtime / ("kernel-" + kernel + ".json")))
    client.load_connection_file()
    client.start_channels()
    client.execute("import time; time.sleep(" + sys.argv[2] + ")")
    time.sleep(1)
"""


def _send_agent(client: paramiko.SSHClient) -> None:
    from dsenv import resources

    assert archive_path().endswith(".pyz")
    output(client, "mkdir -p .cache/dsenv/agent")
    with client.open_sftp() as sftp, sftp.open(_AGENT, "wb") as file:
        file.write(resources.agent_archive())


def _ask(client: paramiko.SSHClient, **request: Any) -> dict[str, Any]:
    """One request to the agent and its answer; the connection ends with it."""
    from dsenv.agent import protocol

    stdin, stdout, _ = client.exec_command(f"python3 -I -S {_AGENT} serve", timeout=30)
    wanted = {"detach": True, "stdin": False, "tty": False, "env": {}, **request}
    stdin.write(protocol.encode_json(protocol.REQUEST, wanted))
    stdin.flush()
    decoder = protocol.Decoder()
    while data := stdout.channel.recv(65536):
        for kind, payload in decoder.feed(data):
            assert kind == protocol.REPLY, payload
            return dict(protocol.decode_json(payload))
    raise AssertionError("the agent did not answer")
